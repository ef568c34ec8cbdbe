//! How one run reaches the network.
//!
//! Owns which rules stand before its requests, and the texts that tell an author which permission
//! is missing. The requests themselves are `outbound`'s.

use std::sync::Arc;

use super::guest_api::is_api;
use super::{Job, Runner, Snapshot};
use crate::analysis::Analysis;
use crate::environment::Environment;
use crate::host::{Destination, HostPattern};
use crate::outbound::Session;
use crate::outbound::egress::Egress;

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

/// How a command line names the analysis: by its name, or by its id where a shell could misread it.
pub(super) fn named(analysis: &Analysis) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match analysis.name.chars().all(plain) && !analysis.name.starts_with('-') {
        true => analysis.name.clone(),
        false => analysis.id.to_string(),
    }
}
