//! Where each key's value would come from, which hosts may be reached, and which rule says so.

use super::{Approved, Runner, withheld};
use crate::analysis::decode_variables;
use crate::host::Destination;
use crate::id::Id;
use crate::policy::{
    Action, Explanation, HostExplanation, Object, ResourceType, Rules, SecretFacts, Subject,
    explain, explain_hosts,
};
use crate::store::{self, Tenant};
use crate::vault::{Part, Secret, texts};

/// What is to be explained.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// Every key of the profile's secrets and of the analysis's variables, and every permission
    /// about hosts.
    Everything,
    /// This key.
    Key(&'a str),
    /// Requests to this destination.
    Host(&'a Destination),
}

/// What one analysis may see and reach.
pub struct Explained {
    /// The analysis's name.
    pub name: String,
    /// The keys that were asked for.
    pub keys: Vec<Explanation>,
    /// The hosts that were asked for.
    pub hosts: Vec<HostExplanation>,
    /// Why nothing of this is given, where the module that runs is not approved.
    pub withheld: Option<String>,
}

/// An analysis, and what becomes of one secret in its runs.
pub struct Reader {
    /// The analysis.
    pub analysis: Id,
    /// Its name.
    pub name: String,
    /// Whether it may run.
    pub active: bool,
    /// What becomes of the secret, and why.
    pub explanation: Explanation,
}

impl Runner {
    /// Explains one secret for every analysis, in the order of their names.
    pub async fn readers(
        &self,
        tenant: &Tenant,
        secret: &Secret,
    ) -> Result<Vec<Reader>, store::Error> {
        let mut view = tenant.view().await?;
        let policies = view.all_policies().await?;
        let (hosts, algorithms) = said(secret);
        let mut readers = Vec::new();
        for stored in view.all_analyses().await? {
            let subject = Subject { id: stored.analysis.id, tags: &stored.analysis.tags };
            let facts = facts(secret, &hosts, &algorithms);
            let variables = match &stored.variables {
                None => Vec::new(),
                Some(sealed) => self.variable_keys(tenant, subject.id, sealed)?,
            };
            let hides = variables.iter().map(String::as_str).filter(|key| *key == secret.key);
            let mut explained = explain(subject, &policies, [facts], hides);
            let approved = Approved::load(&mut view, &self.vault, subject.id).await?;
            if !approved.covers(stored.module.as_ref()) {
                explained.iter_mut().for_each(Explanation::withhold);
            }
            let analysis = &stored.analysis;
            readers.extend(explained.into_iter().map(|explanation| Reader {
                analysis: analysis.id,
                name: analysis.name.clone(),
                active: analysis.active,
                explanation,
            }));
        }
        Ok(readers)
    }

    /// Explains what is asked for. Of the secrets that are refused it tells those that who asks
    /// `sees`, by id and tags, and the one that was named.
    pub async fn explain(
        &self,
        tenant: &Tenant,
        analysis: Id,
        asked: Asked<'_>,
        sees: impl Fn(&Object<'_>) -> bool,
    ) -> Result<Explained, store::Error> {
        let mut view = tenant.view().await?;
        let stored = view.analysis(analysis).await?;
        let subject = Subject { id: analysis, tags: &stored.analysis.tags };
        let policies = view.policies_for(&subject).await?;
        let approved = Approved::load(&mut view, &self.vault, analysis).await?;
        let waiting = stored.module.filter(|module| !approved.covers(Some(module)));
        let mut hosts = match asked {
            Asked::Everything => explain_hosts(subject, &policies, None),
            Asked::Key(_) => Vec::new(),
            Asked::Host(host) => explain_hosts(subject, &policies, Some(host)),
        };
        let secrets = view.all_secrets().await?;
        let rules = Rules::compile(subject, &policies);
        let shown = |secret: &Secret| {
            let object = Object { id: Some(secret.id), tags: &secret.tags };
            let granted = |action| rules.decide(ResourceType::Secrets, action, &object).granted;
            matches!(asked, Asked::Key(_))
                || granted(Action::Access)
                || granted(Action::Sign)
                || sees(&object)
        };
        let wanted = |name: &str| match asked {
            Asked::Everything => true,
            Asked::Key(key) => key == name,
            Asked::Host(_) => false,
        };
        let facts = secrets.iter().map(|stored| &stored.secret).filter(|s| wanted(&s.key));
        let facts: Vec<_> =
            facts.filter(|secret| shown(secret)).map(|secret| (secret, said(secret))).collect();
        let facts = facts
            .iter()
            .map(|(secret, (hosts, algorithms))| self::facts(secret, hosts, algorithms));
        let variables = match &stored.variables {
            None => Vec::new(),
            Some(sealed) => self.variable_keys(tenant, analysis, sealed)?,
        };
        let variables = variables.iter().map(String::as_str).filter(|key| wanted(key));
        let mut keys = explain(subject, &policies, facts, variables);
        if waiting.is_some() {
            keys.iter_mut().for_each(Explanation::withhold);
            hosts.iter_mut().for_each(HostExplanation::withhold);
        }
        let withheld = waiting.map(|module| withheld(&stored.analysis, &module));
        Ok(Explained { name: stored.analysis.name, keys, hosts, withheld })
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

/// What a secret may be used for without being read, as explanations say it: hosts and algorithms.
pub(super) fn said(secret: &Secret) -> (String, String) {
    (texts(secret.uses.hosts()).join(", "), texts(secret.uses.algorithms()).join(", "))
}

/// What an explanation needs to know of a secret.
pub(super) fn facts<'a>(
    secret: &'a Secret,
    hosts: &'a str,
    algorithms: &'a str,
) -> SecretFacts<'a> {
    SecretFacts {
        id: secret.id,
        key: &secret.key,
        tags: &secret.tags,
        version: secret.version,
        exposure: secret.exposure.as_str(),
        hosts,
        algorithms,
    }
}
