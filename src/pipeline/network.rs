//! How one run reaches the network.
//!
//! Owns which rules stand before its requests, and the texts that tell an author which permission
//! is missing. The requests themselves are `outbound`'s.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::guest_api::is_api;
use super::{Job, Runner, Snapshot};
use crate::analysis::Analysis;
use crate::environment::redactor::Caught;
use crate::environment::{Environment, Overlay, Redactor, TooLarge};
use crate::host::{Destination, HostPattern};
use crate::outbound::egress::Egress;
use crate::outbound::{Session, Tally};

impl Runner {
    /// What the run has of the network: the permissions of its snapshot, the secrets that its
    /// `environment` has placeholders for, and its limits.
    pub(super) fn session(&self, job: &Job, environment: &Environment) -> Arc<Session> {
        let plain = self.settings.outbound.egress_over_plain_http;
        let egress = Egress::new(&job.snapshot.egress, environment, plain, Arc::clone(&job.uses));
        let snapshot = Arc::clone(&job.snapshot);
        let gate = Box::new(move |destination: &Destination| permit(&snapshot, destination));
        Session::with_egress(self.network.clone(), gate, job.limits, egress)
    }
}

/// Decides by the snapshot's rules, or says what is missing.
fn permit(snapshot: &Snapshot, destination: &Destination) -> Result<(), String> {
    if is_api(&destination.host) {
        // Answered before it comes here; it must not go out in any other way either.
        let host = &destination.host;
        return Err(format!("{host} is the API, which the runner itself answers"));
    }
    let decision = snapshot.rules.decide_host(destination);
    if decision.granted {
        return Ok(());
    }
    if snapshot.withheld {
        return Err(format!(
            "a module that is not approved reaches no host, so not {destination}: the first line of \
             the console says who approves it"
        ));
    }
    let (name, host) = (named(&snapshot.analysis), HostPattern::of(destination));
    Err(match decision.rule {
        None => format!(
            "no policy allows this analysis network access to {destination}: an administrator can \
             run: runner policy grant {name} --host {host}"
        ),
        Some(_) => format!(
            "a policy denies this analysis network access to {destination}, and a deny beats every \
             allow: an administrator sees which with: runner explain {name} --host {host}"
        ),
    })
}

/// What a run asked for, without the secrets of its environment: a guest may ask for any name, and
/// the audit keeps it in the open. Names are in lower case, so secrets are looked for so too.
///
/// # Errors
/// Never where `environment` itself was settled.
pub(super) fn without_secrets(asked: Tally, environment: &Environment) -> Result<Tally, TooLarge> {
    if asked.is_empty() {
        return Ok(asked);
    }
    let mut lower = Overlay::with_capacity(environment.len(), environment.values().len());
    for entry in environment.iter() {
        let value = Zeroizing::new(entry.value.to_ascii_lowercase());
        lower.add(entry.key, &value, entry.origin.clone());
    }
    let redactor = Redactor::new(Arc::new(lower.settle()?));
    let mut masked = Tally { others: asked.others, ..Tally::default() };
    for (name, asked) in &asked.hosts {
        let name = redactor.text(name, &mut Caught::default()).into_owned();
        let count = masked.hosts.entry(name).or_default();
        count.allowed += asked.allowed;
        count.denied += asked.denied;
    }
    Ok(masked)
}

/// How a command line names the analysis: by its name, or by its id where a shell could misread it.
pub(super) fn named(analysis: &Analysis) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match analysis.name.chars().all(plain) && !analysis.name.starts_with('-') {
        true => analysis.name.clone(),
        false => analysis.id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Origin;
    use crate::id::Id;
    use crate::outbound::Count;

    #[test]
    fn a_secret_in_the_name_of_a_host_does_not_reach_the_audit() {
        let id = Id::from_bytes([1; 12]);
        let mut overlay = Overlay::with_capacity(0, 0);
        let origin = Origin::Secret { secret: id, version: 1, policy: id, permission: 0 };
        overlay.add("KEY", "S3cret-Horse", origin);
        let environment = overlay.settle().unwrap();
        let once = Count { allowed: 1, denied: 2 };
        let names = ["https://s3cret-horse.example", "https://api.example"];
        let hosts = names.map(|name| (name.to_owned(), once)).into();
        let masked = without_secrets(Tally { hosts, others: once }, &environment).unwrap();
        let names = ["https://[secret KEY].example", "https://api.example"];
        assert_eq!(masked.hosts, names.map(|name| (name.to_owned(), once)).into());
        assert_eq!(masked.others, once);
    }
}
