//! Opens the frozen examples under `tests/vectors`: what was sealed once must open for ever.
//!
//! A failure here means that stores in use would become unreadable. Never regenerate a file;
//! a new format gets a new version and a new file beside the old one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::*;
use crate::clock::Timestamp;
use crate::tag::{Tag, Tags};

#[derive(Deserialize)]
struct File {
    root_key: String,
    root_key_id: String,
    keys: Vec<Key>,
    secrets: Vec<SealedSecret>,
    #[serde(default)]
    parts: Vec<SealedPart>,
    #[serde(default)]
    tokens: Vec<Message>,
    #[serde(default)]
    run_tokens: Vec<RunToken>,
    #[serde(default)]
    links: Vec<Message>,
    #[serde(default)]
    artefact_key: String,
}

#[derive(Deserialize)]
struct Key {
    id: Id,
    kind: String,
    profile: Option<Id>,
    wrapped: String,
    created_at: i64,
}

#[derive(Deserialize)]
struct SealedSecret {
    profile: Id,
    secret: Id,
    key: String,
    version: u32,
    exposure: Exposure,
    tags: Vec<Tag>,
    /// As the store keeps them.
    #[serde(default)]
    uses: Option<serde_json::Value>,
    value: String,
    envelope: String,
}

#[derive(Deserialize)]
struct SealedPart {
    profile: Id,
    part: String,
    owner: Id,
    attempt: u32,
    sequence: u32,
    plaintext: String,
    envelope: String,
}

#[derive(Deserialize)]
struct Message {
    text: String,
    mac: String,
}

#[derive(Deserialize)]
struct RunToken {
    run: Id,
    token: String,
}

fn bytes(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).unwrap()
}

fn file() -> File {
    serde_json::from_str(include_str!("../../tests/vectors/vault-v1.json")).unwrap()
}

fn vault(file: &File) -> Vault {
    let root = RootKey::parse(&file.root_key).unwrap();
    assert_eq!(root.id(), file.root_key_id);
    let wrapped = file.keys.iter().map(|key| WrappedKey {
        id: key.id,
        kind: key.kind.parse().unwrap(),
        profile: key.profile,
        root_key_id: file.root_key_id.clone(),
        wrapped: bytes(&key.wrapped),
        created_at: Timestamp::from_millis(key.created_at),
    });
    Vault::new(Keyring::open(&root, &wrapped.collect::<Vec<_>>()).unwrap())
}

fn part(of: &SealedPart) -> Part {
    let SealedPart { owner, attempt, sequence, .. } = *of;
    match of.part.as_str() {
        "variables" => Part::Variables { analysis: owner },
        "scope" => Part::Scope { run: owner },
        "result" => Part::Result { run: owner, attempt },
        "fault" => Part::Fault { run: owner, attempt },
        "console" => Part::Console { run: owner, attempt, sequence },
        other => panic!("unknown part {other}"),
    }
}

fn open_all(file: &File) {
    let vault = vault(file);
    let mut scratch = Scratch::default();
    for frozen in &file.secrets {
        let uses = frozen.uses.as_ref().map(ToString::to_string);
        let binding = SecretBinding {
            profile: frozen.profile,
            secret: frozen.secret,
            key: &frozen.key,
            version: frozen.version,
            exposure: frozen.exposure,
            tags: &Tags::new(frozen.tags.clone()).unwrap(),
            uses: &Uses::from_stored(frozen.exposure, uses.as_deref()).unwrap(),
        };
        let sealed = vault.load_secret(&binding, &bytes(&frozen.envelope)).unwrap();
        let range = sealed.open(&mut scratch).unwrap();
        assert_eq!(scratch.text(&range), frozen.value);
    }
}

#[test]
fn frozen_secrets_open() {
    let file = file();
    open_all(&file);
    assert_eq!(file.secrets.len(), 4);
}

#[test]
fn frozen_secrets_with_uses_open() {
    let file = include_str!("../../tests/vectors/vault-uses-v1.json");
    let file: File = serde_json::from_str(file).unwrap();
    open_all(&file);
    assert_eq!(file.secrets.len(), 3);
}

#[test]
fn frozen_parts_open() {
    let file = file();
    let vault = vault(&file);
    for frozen in &file.parts {
        let opened = vault.open(frozen.profile, &part(frozen), &bytes(&frozen.envelope)).unwrap();
        assert_eq!(*opened, bytes(&frozen.plaintext), "{}", frozen.part);
    }
    assert_eq!(file.parts.len(), 6);
}

#[test]
fn frozen_tokens_and_links_hold() {
    let file = file();
    let vault = vault(&file);
    for token in &file.tokens {
        assert_eq!(vault.token_digest(&token.text)[..], bytes(&token.mac));
    }
    for link in &file.links {
        assert!(vault.verify_link(link.text.as_bytes(), &bytes(&link.mac)));
    }
    for frozen in &file.run_tokens {
        assert_eq!(*vault.run_token(frozen.run), frozen.token);
        assert_eq!(vault.read_run_token(&frozen.token), Some(frozen.run));
    }
    assert_eq!(vault.artefact_key()[..], bytes(&file.artefact_key));
}
