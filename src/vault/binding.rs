//! What a secret's sealed value is bound to.

use super::envelope::{AssociatedData, Cipher};
use super::keyring::DataKey;
use super::secret::Exposure;
use super::uses::{Uses, texts};
use crate::id::Id;
use crate::tag::Tags;

/// All that a sealed value is bound to. If one of these differs, the value does not open.
#[derive(Clone, Copy, Debug)]
pub struct SecretBinding<'a> {
    /// The owner.
    pub profile: Id,
    /// The secret.
    pub secret: Id,
    /// Its key.
    pub key: &'a str,
    /// Its version.
    pub version: u32,
    /// Where the value may go.
    pub exposure: Exposure,
    /// Its tags: policies read them, so a retagged row must not open.
    pub tags: &'a Tags,
    /// What it may be used for without being read; as binding as the tags.
    pub uses: &'a Uses,
}

impl SecretBinding<'_> {
    /// The cipher of this version of the secret.
    pub(super) fn cipher(&self, key: &DataKey) -> Cipher {
        let (profile, secret) = (self.profile.as_bytes(), self.secret.as_bytes());
        key.derive(&[b"runner/secret/v1", profile, secret, &self.version.to_be_bytes()])
    }

    /// Secrets that can only be read are bound as they always were, so that what was sealed before
    /// there were uses opens.
    pub(super) fn associated_data(&self, key: Id) -> AssociatedData {
        let purpose = if self.uses.is_empty() { "secret" } else { "secret-uses" };
        let aad = AssociatedData::of_envelope(key, purpose, self.profile)
            .field(self.secret.as_bytes())
            .field(self.key)
            .number(self.version)
            .field(self.exposure.as_str());
        let tags = self.tags.as_slice().iter();
        let tags = tags.flat_map(|tag| [tag.key.clone(), tag.value.clone()]);
        if self.uses.is_empty() {
            return tags.fold(aad, AssociatedData::field);
        }
        let aad = aad.list(tags).list(texts(self.uses.hosts())).list(texts(self.uses.places()));
        aad.list(self.uses.algorithms().iter().map(|algorithm| algorithm.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{OTHER, OTHER_PROFILE, VALUE, binding, open, tags, vault};
    use super::*;
    use crate::vault::{Algorithm, Error};

    #[test]
    fn a_secret_opens_where_it_was_sealed() {
        let (vault, tags) = (vault(), tags(&[("team", "billing")]));
        for value in [VALUE, "x", "пароль 🔑\n", &"v".repeat(65_536)] {
            let sealed = vault.seal_secret(&binding(&tags), value).unwrap();
            let loaded = vault.load_secret(&binding(&tags), &sealed).unwrap();
            assert_eq!(loaded.len(), value.len());
            assert_eq!(open(&vault, &binding(&tags), &sealed).as_deref(), Ok(value));
        }
    }

    #[test]
    fn a_secret_opens_nowhere_else() {
        let (vault, kept) = (vault(), tags(&[("team", "billing"), ("env", "prod")]));
        let right = binding(&kept);
        let sealed = vault.seal_secret(&right, VALUE).unwrap();
        let changed = [
            tags(&[("team", "billing"), ("env", "dev")]),
            tags(&[("team", "billing"), ("stage", "prod")]),
            tags(&[("team", "billing")]),
            tags(&[("team", "billing"), ("env", "prod"), ("more", "x")]),
            tags(&[]),
        ];
        let retagged = changed.iter().map(|tags| SecretBinding { tags, ..right });
        let moved = [
            SecretBinding { profile: OTHER_PROFILE, ..right },
            SecretBinding { profile: OTHER, ..right },
            SecretBinding { secret: OTHER, ..right },
            SecretBinding { key: "API_KEZ", ..right },
            SecretBinding { key: "API_KE", ..right },
            SecretBinding { version: 2, ..right },
            SecretBinding { exposure: Exposure::Egress, ..right },
        ];
        for wrong in retagged.chain(moved) {
            assert_eq!(open(&vault, &wrong, &sealed), Err(Error::DoesNotOpen), "{wrong:?}");
        }
        assert_eq!(open(&vault, &right, &sealed).as_deref(), Ok(VALUE));
    }

    fn uses(hosts: &[&str], places: &[&str], algorithms: &[Algorithm]) -> Uses {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let places = places.iter().map(|place| place.parse().unwrap()).collect();
        Uses::new(Exposure::Egress, hosts, places, algorithms.to_vec()).unwrap()
    }

    #[test]
    fn another_host_place_or_algorithm_does_not_open() {
        let (vault, tags) = (vault(), tags(&[("team", "billing")]));
        let signing = [Algorithm::HmacSha256];
        let kept = uses(&["api.example.com", "b.example.com"], &["query:key"], &signing);
        let right = SecretBinding { exposure: Exposure::Egress, uses: &kept, ..binding(&tags) };
        let sealed = vault.seal_secret(&right, VALUE).unwrap();
        assert_eq!(open(&vault, &right, &sealed).as_deref(), Ok(VALUE));
        for wrong in [
            uses(&["api.example.com", "evil.example"], &["query:key"], &signing),
            uses(&["api.example.com"], &["query:key"], &signing),
            uses(&["api.example.com", "b.example.com", "c"], &["query:key"], &signing),
            uses(&["api.example.com", "b.example.com"], &["header:x"], &signing),
            uses(&["api.example.com", "b.example.com"], &["query:key", "form:a"], &signing),
            uses(&["api.example.com", "b.example.com"], &["query:key"], &[]),
            uses(&["api.example.com", "b.example.com"], &["query:key"], Algorithm::ALL),
            Uses::default(),
        ] {
            let wrong = SecretBinding { uses: &wrong, ..right };
            assert_eq!(open(&vault, &wrong, &sealed), Err(Error::DoesNotOpen), "{wrong:?}");
        }
        let readable = Uses::new(Exposure::Environment, vec![], vec![], signing.to_vec());
        let readable =
            SecretBinding { exposure: Exposure::Environment, uses: &readable.unwrap(), ..right };
        assert_eq!(open(&vault, &readable, &sealed), Err(Error::DoesNotOpen));
    }

    #[test]
    fn uses_are_not_mistaken_for_tags() {
        let vault = vault();
        let (some, fewer) = (tags(&[("a", "b"), ("c", "d")]), tags(&[("a", "b")]));
        let uses = uses(&["c", "d"], &[], &[]);
        let with_uses =
            SecretBinding { exposure: Exposure::Egress, uses: &uses, ..binding(&fewer) };
        let with_tags = SecretBinding { uses: &Uses::default(), tags: &some, ..with_uses };
        let sealed = vault.seal_secret(&with_tags, VALUE).unwrap();
        assert_eq!(open(&vault, &with_uses, &sealed), Err(Error::DoesNotOpen));
    }

    #[test]
    fn the_order_in_which_tags_were_given_does_not_matter() {
        let (vault, one) = (vault(), tags(&[("a", "1"), ("b", "2")]));
        let other = tags(&[("b", "2"), ("a", "1")]);
        let sealed = vault.seal_secret(&binding(&one), VALUE).unwrap();
        assert_eq!(open(&vault, &binding(&other), &sealed).as_deref(), Ok(VALUE));
    }

    #[test]
    fn swapped_ciphertexts_do_not_open() {
        let (vault, tags) = (vault(), tags(&[("team", "billing")]));
        let one = binding(&tags);
        let other = SecretBinding { key: "OTHER", secret: OTHER, ..one };
        let sealed_one = vault.seal_secret(&one, "one").unwrap();
        let sealed_other = vault.seal_secret(&other, "two").unwrap();
        assert_eq!(open(&vault, &one, &sealed_other), Err(Error::DoesNotOpen));
        assert_eq!(open(&vault, &other, &sealed_one), Err(Error::DoesNotOpen));
    }
}
