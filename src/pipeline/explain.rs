//! Where each key's value would come from, and which rule says so.

use super::Runner;
use crate::analysis::decode_variables;
use crate::id::Id;
use crate::policy::{Explanation, SecretFacts, Subject, explain};
use crate::store::{self, Tenant};
use crate::vault::Part;

impl Runner {
    /// Explains every key of the profile's secrets and of the analysis's variables, or the one
    /// that is asked for. Answers the analysis's name beside it.
    pub async fn explain(
        &self,
        tenant: &Tenant,
        analysis: Id,
        key: Option<&str>,
    ) -> Result<(String, Vec<Explanation>), store::Error> {
        let mut view = tenant.view().await?;
        let stored = view.analysis(analysis).await?;
        let subject = Subject { id: analysis, tags: &stored.analysis.tags };
        let policies = view.policies_for(&subject).await?;
        let secrets = view.all_secrets().await?;
        let wanted = |name: &str| key.is_none_or(|key| key == name);
        let facts = secrets.iter().map(|stored| &stored.secret).filter(|s| wanted(&s.key));
        let facts = facts.map(|secret| SecretFacts {
            id: secret.id,
            key: &secret.key,
            tags: &secret.tags,
            version: secret.version,
            exposure: secret.exposure.as_str(),
        });
        let variables = match &stored.variables {
            None => Vec::new(),
            Some(sealed) => self.variable_keys(tenant, analysis, sealed)?,
        };
        let variables = variables.iter().map(String::as_str).filter(|key| wanted(key));
        let explained = explain(subject, &policies, facts, variables);
        Ok((stored.analysis.name, explained))
    }

    fn variable_keys(
        &self,
        tenant: &Tenant,
        analysis: Id,
        sealed: &[u8],
    ) -> Result<Vec<String>, store::Error> {
        let unreadable = || store::Error::Damaged("the variables do not open".into());
        let part = Part::Variables { analysis };
        let text = self.vault.open(tenant.profile(), &part, sealed).map_err(|_| unreadable())?;
        let text = std::str::from_utf8(&text).map_err(|_| unreadable())?;
        let decoded = decode_variables(text).ok_or_else(unreadable)?;
        Ok(decoded.into_iter().map(|variable| variable.key.to_owned()).collect())
    }
}
