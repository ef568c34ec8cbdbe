//! Secrets that a run may send and not read.
//!
//! Owns what stands for such a secret in the environment, and the moment at which the value takes
//! its place: in a request that a policy allowed, to a host and in a place that are bound to the
//! secret. Anywhere else a placeholder is refused, with what would be right. It knows no policy,
//! opens no connection, and keeps a value no longer than the exchange that carries it.

mod answer;
mod body;
mod message;
mod pairs;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::sync::Arc;

use crate::environment::{Environment, Origin};
use crate::host::{Destination, Scheme};
use crate::id::Id;
use crate::outbound::{Error, Request};
use crate::run::{SecretUses, Way};
use crate::vault::{Scratch, SealedValue, Uses, texts};

pub use answer::Carried;
pub use body::BODY_LIMIT;

use message::Message;

/// What every placeholder begins with.
const PREFIX: &str = "egress_";

/// The random bytes of a placeholder.
const RANDOM: usize = 16;

/// The length of every placeholder, in bytes.
pub const PLACEHOLDER_LENGTH: usize = PREFIX.len() + 2 * RANDOM;

/// A new text that stands for a value in one run. Of letters, digits and an underscore, so that it
/// looks the same in a header, a URL, a form and JSON.
pub fn placeholder() -> String {
    let mut random = [0; RANDOM];
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    let mut text = String::with_capacity(PLACEHOLDER_LENGTH);
    text.push_str(PREFIX);
    for byte in random {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A secret that policies grant and only the host may read.
pub struct EgressSecret {
    /// Its key in the environment.
    pub key: String,
    /// The secret.
    pub id: Id,
    /// Its version.
    pub version: u32,
    /// Its value, which opens on its own.
    pub value: Arc<SealedValue>,
    /// Where the value may go.
    pub uses: Uses,
}

/// A secret with what stands for it in one run.
struct Granted {
    secret: Arc<EgressSecret>,
    placeholder: String,
}

/// The egress secrets of one run.
#[derive(Default)]
pub struct Egress {
    granted: Vec<Granted>,
    /// Whether values may go to hosts without TLS, where a secret's host says so too.
    plain_http: bool,
    uses: Arc<SecretUses>,
}

impl Egress {
    /// Those of `secrets` whose placeholder stands in the run's environment: one that a variable
    /// hides is not there. What is sent is counted in `uses`.
    pub fn new(
        secrets: &[Arc<EgressSecret>],
        environment: &Environment,
        plain_http: bool,
        uses: Arc<SecretUses>,
    ) -> Self {
        let granted = secrets.iter().filter_map(|secret| {
            let entry = environment.get(&secret.key)?;
            matches!(entry.origin, Origin::Placeholder { .. })
                .then(|| Granted { secret: Arc::clone(secret), placeholder: entry.value.into() })
        });
        Self { granted: granted.collect(), plain_http, uses }
    }

    /// Puts values where their placeholders stand in a request that may go to `destination`.
    ///
    /// Answers what the request carries now, which must see the answer before the guest does;
    /// nothing where it carries nothing, and then the request is as it was.
    pub async fn insert(
        &self,
        destination: &Destination,
        request: Request,
    ) -> Result<(Request, Option<Carried>), Error> {
        if self.granted.is_empty() {
            return Ok((request, None));
        }
        let mut message = Message::read(request).await?;
        let mut values = Scratch::default();
        let mut carried = Vec::new();
        for Granted { secret, placeholder } in &self.granted {
            if message.find(placeholder).is_none() {
                continue;
            }
            secret.may_go_to(destination, self.plain_http)?;
            let value = secret.value.open(&mut values).map_err(|_| unreadable(&secret.key))?;
            message.insert(secret.uses.places(), placeholder, values.text(&value))?;
            if let Some(spot) = message.find(placeholder) {
                return Err(secret.misplaced(&spot));
            }
            carried.push((secret, value));
        }
        if carried.is_empty() {
            return Ok((message.unchanged(), None));
        }
        for (secret, _) in &carried {
            let host = Way::SentTo(destination.to_string());
            self.uses.count(&secret.key, secret.id, secret.version, host);
        }
        let values =
            carried.iter().map(|(secret, value)| (secret.key.as_str(), values.text(value)));
        let carried = Carried::new(destination, values)?;
        Ok((message.changed(), Some(carried)))
    }
}

impl EgressSecret {
    fn may_go_to(&self, destination: &Destination, plain_http: bool) -> Result<(), Error> {
        let Self { key, uses, .. } = self;
        if !uses.hosts().iter().any(|host| host.allows(destination)) {
            let hosts = texts(uses.hosts()).join(", ");
            return Err(Error::Denied(format!(
                "the secret {key} goes only to {hosts}, and this request goes to {destination}: \
                 send it there, or ask an administrator for `runner secret edit {key} --host ...`"
            )));
        }
        if destination.scheme == Scheme::Http && !plain_http {
            return Err(Error::Denied(format!(
                "the secret {key} goes over TLS only, and this request goes to {destination}: use \
                 https, or ask the host's administrator for the setting \
                 outbound_egress_over_plain_http"
            )));
        }
        Ok(())
    }

    fn misplaced(&self, spot: &str) -> Error {
        let (key, places) = (&self.key, texts(self.uses.places()).join(", "));
        Error::Denied(format!(
            "the secret {key} may stand in {places}, and this request has it in {spot}: put it \
             there, or ask an administrator for `runner secret edit {key} --place ...`"
        ))
    }
}

fn unreadable(key: &str) -> Error {
    Error::Invalid(format!("the secret {key} does not open any more; nothing was sent"))
}
