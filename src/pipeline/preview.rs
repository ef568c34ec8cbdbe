//! What a change of a policy would give and take, over all analyses.

use tokio::task::spawn_blocking;

use super::Runner;
use super::explain::{facts, said};
use crate::id::Id;
use crate::policy::{Policy, Shift, Subject, preview};
use crate::store::{self, Tenant};

/// What may be done to the policies of a profile.
pub enum Proposal {
    /// This policy is made, or takes the place of the one with its id.
    Put(Policy),
    /// The policy with this id is deleted.
    Delete(Id),
}

/// An analysis that would gain or lose secrets.
pub struct Shifted {
    /// The analysis.
    pub analysis: Id,
    /// Its name.
    pub name: String,
    /// What, in the order of the secrets' keys.
    pub shifts: Vec<Shift>,
}

/// What a proposal comes to.
pub struct Preview {
    /// How many analyses the proposed policy would count for; none where it is a deletion.
    pub targeted: Option<usize>,
    /// Those that would gain or lose secrets, in the order of their names.
    pub shifted: Vec<Shifted>,
}

impl Runner {
    /// Says what a proposal would give and take, and changes nothing.
    pub async fn preview(
        &self,
        tenant: &Tenant,
        proposal: Proposal,
    ) -> Result<Preview, store::Error> {
        let mut view = tenant.view().await?;
        let policies = view.all_policies().await?;
        let (analyses, secrets) = (view.all_analyses().await?, view.all_secrets().await?);
        drop(view);
        // Every secret is decided about for every analysis.
        let computed = spawn_blocking(move || {
            let before: Vec<&Policy> = policies.iter().collect();
            let (id, proposed) = match &proposal {
                Proposal::Put(policy) => (policy.id, Some(policy)),
                Proposal::Delete(id) => (*id, None),
            };
            let mut after: Vec<&Policy> = policies.iter().filter(|kept| kept.id != id).collect();
            after.extend(proposed);
            let spoken: Vec<_> = secrets.iter().map(|stored| said(&stored.secret)).collect();
            let mut targeted = 0;
            let mut shifted = Vec::new();
            for stored in &analyses {
                let analysis = &stored.analysis;
                let subject = Subject { id: analysis.id, tags: &analysis.tags };
                targeted += usize::from(proposed.is_some_and(|new| new.applies_to(subject)));
                let known = secrets.iter().zip(&spoken);
                let known = known.map(|(stored, (hosts, by))| facts(&stored.secret, hosts, by));
                let shifts = preview(subject, &before, &after, known);
                if !shifts.is_empty() {
                    let (analysis, name) = (analysis.id, analysis.name.clone());
                    shifted.push(Shifted { analysis, name, shifts });
                }
            }
            Preview { targeted: proposed.map(|_| targeted), shifted }
        });
        // It cannot be aborted, so it fails only where the process is stopping.
        computed.await.map_err(|_| store::Error::Closed)
    }
}
