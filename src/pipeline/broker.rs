//! The MQTT broker: where it is, and as whom the runner connects to it.
//!
//! Owns the settings of the connection and what they become for the client. It connects to nothing.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rumqttc::{AckMode, MqttOptions, Transport};
use zeroize::Zeroizing;

use super::session::NothingUnderWay;
use crate::id::Id;
use crate::words::words;

/// The most messages that the broker sends before the first of them is acknowledged.
const IN_FLIGHT: u16 = 32;

/// The largest packet that the broker may send, in bytes: a payload of 1 MiB and what is around it.
/// It drops larger ones.
const MAX_PACKET: u32 = (1 << 20) + (1 << 17);

/// For how long the broker keeps the session while no node is there: for ever.
const EXPIRY: u32 = u32::MAX;

/// How often the connection is tried out when it is silent, in seconds.
const KEEP_ALIVE: u16 = 20;

/// The longest password, in bytes; MQTT carries no longer one.
const MAX_PASSWORD: u64 = 65_535;

words! {
    /// How this node stands to the broker.
    Link:
    Standby "standby" => "Another node has the connection, or no action listens.";
    Connected "connected" => "Messages are received.";
    Disconnected "disconnected" => "The broker does not answer or refuses; the log says why.";
}

/// The broker, and as whom the runner connects to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    /// Where it is.
    pub url: BrokerUrl,
    /// The user, if it asks for one.
    pub user: Option<String>,
    /// The file with the password, if it asks for one; only its owner may read it.
    pub password_file: Option<PathBuf>,
    /// The client id, by which the broker knows the session; one that names the profile where none
    /// is set.
    pub client_id: Option<String>,
}

/// Where a broker is: `mqtt://HOST[:PORT]`, or `mqtts://HOST[:PORT]` for TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerUrl {
    tls: bool,
    /// A name or an address; an IPv6 address stands in brackets.
    host: String,
    port: u16,
}

/// The text is not a broker's URL. It is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must look like mqtt://broker.example:1883 or mqtts://broker.example:8883")]
pub struct InvalidBrokerUrl;

/// Why the runner cannot connect as it is set to.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The password cannot be read.
    #[error("the file of the setting mqtt_password_file, {path}, cannot be read: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is no file, or too long for one password.
    #[error("the setting mqtt_password_file names {0}, which is not a file with one password")]
    NotAPassword(PathBuf),
    /// Others than the owner may read or change the file.
    #[error(
        "the file of the setting mqtt_password_file, {path}, is open to other users (mode \
         {mode:04o}); run `chmod 600 {path}`"
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The certificates that the system trusts cannot be read.
    #[error("no TLS to the MQTT broker: the certificates that the system trusts: {0}")]
    Tls(String),
}

impl FromStr for BrokerUrl {
    type Err = InvalidBrokerUrl;

    fn from_str(text: &str) -> Result<Self, InvalidBrokerUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidBrokerUrl)?;
        let (tls, standard) = match scheme {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return Err(InvalidBrokerUrl),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // The colons of an IPv6 address stand before the bracket.
        let colon = rest.rfind(':').filter(|colon| !rest[*colon..].contains(']'));
        let (host, port) = match colon {
            Some(colon) => {
                let port = rest[colon + 1..].parse().ok().filter(|port| *port > 0);
                (&rest[..colon], port.ok_or(InvalidBrokerUrl)?)
            }
            None => (rest, standard),
        };
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let valid = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            // A certificate is checked against a name or an IPv4 address.
            Some(address) => !tls && address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(named),
        };
        if valid { Ok(Self { tls, host: host.into(), port }) } else { Err(InvalidBrokerUrl) }
    }
}

impl Broker {
    /// What the client connects with: a session that the broker keeps while no node is there, and
    /// acknowledgements that wait until they are given.
    pub(super) fn options(&self, profile: Id) -> Result<MqttOptions, BrokerError> {
        let client_id = self.client_id.clone().unwrap_or_else(|| format!("runner-{profile}"));
        let BrokerUrl { tls, host, port } = &self.url;
        let mut options = MqttOptions::new(client_id, (host.as_str(), *port));
        options
            .set_clean_start(false)
            .set_session_expiry_interval(Some(EXPIRY))
            .set_session_store(NothingUnderWay { expiry: EXPIRY })
            .set_ack_mode(AckMode::Manual)
            .set_receive_maximum(Some(IN_FLIGHT))
            .set_max_packet_size(Some(MAX_PACKET))
            .set_keep_alive(KEEP_ALIVE);
        let password = self.password_file.as_deref().map(password).transpose()?;
        let password = password.map(|password| password.to_vec());
        match (&self.user, password) {
            (Some(user), Some(password)) => _ = options.set_credentials(user, password),
            (Some(user), None) => _ = options.set_username(user),
            (None, Some(password)) => _ = options.set_password(password),
            (None, None) => {}
        }
        if *tls {
            let transport = Transport::try_tls_with_default_config();
            options.set_transport(transport.map_err(|error| BrokerError::Tls(error.to_string()))?);
        }
        Ok(options)
    }
}

/// Reads a password, without the line end after it, from a file that only its owner may read.
fn password(path: &Path) -> Result<Zeroizing<Vec<u8>>, BrokerError> {
    let failed = |error| BrokerError::Read { path: path.into(), error };
    // Not blocking, or a pipe in the file's place would hang the start.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
    let mut file = file.map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > MAX_PASSWORD {
        return Err(BrokerError::NotAPassword(path.into()));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(BrokerError::OpenToOthers { path: path.into(), mode });
    }
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    let mut text = Zeroizing::new(vec![0; length]);
    file.read_exact(&mut text).map_err(failed)?;
    let end = text.strip_suffix(b"\n").map_or(text.len(), <[u8]>::len);
    let end = text[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
    text.truncate(end);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use proptest::prelude::*;

    use super::*;

    fn url(tls: bool, host: &str, port: u16) -> BrokerUrl {
        BrokerUrl { tls, host: host.into(), port }
    }

    #[test]
    fn a_url_names_a_host_and_if_it_likes_a_port() {
        for (text, expected) in [
            ("mqtt://broker.example", url(false, "broker.example", 1883)),
            ("mqtt://10.0.0.1:2000/", url(false, "10.0.0.1", 2000)),
            ("mqtt://[::1]:2000", url(false, "[::1]", 2000)),
            ("mqtt://[::1]", url(false, "[::1]", 1883)),
            ("mqtts://broker.example", url(true, "broker.example", 8883)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_url_of_a_broker() {
        for text in [
            "",
            "broker.example",
            "broker.example:1883",
            "tcp://broker.example",
            "MQTT://broker.example",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://broker.example:",
            "mqtt://broker.example:0",
            "mqtt://broker.example:65536",
            "mqtt://user:hunter2@broker.example",
            "mqtt://broker.example/topic",
            "mqtt://broker.example?a=b",
            "mqtt://::1",
            "mqtt://[::1",
            "mqtt://[broker]",
            "mqtts://[::1]",
        ] {
            assert_eq!(text.parse::<BrokerUrl>(), Err(InvalidBrokerUrl), "{text}");
        }
    }

    #[test]
    fn a_password_is_read_from_a_file_of_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (text, expected) in
            [("hunter2\n", "hunter2"), ("hunter2\r\n", "hunter2"), ("hunter2 ", "hunter2 ")]
        {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert_eq!(*password(&path).unwrap(), expected.as_bytes());
        }
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let refused = password(&path).unwrap_err().to_string();
        assert!(refused.contains("mode 0640") && refused.contains("chmod 600"), "{refused}");
        assert!(!refused.contains("hunter2"));
        let refused = password(&folder.path().join("none")).unwrap_err();
        assert!(matches!(refused, BrokerError::Read { .. }), "{refused}");
        let refused = password(folder.path()).unwrap_err();
        assert!(matches!(refused, BrokerError::NotAPassword(_)), "{refused}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(mqtts?://)?[\\[\\]:./@a-z0-9é]{0,20}") {
            if let Ok(url) = text.parse::<BrokerUrl>() {
                prop_assert!(text.contains(&url.host) && !url.host.contains('@'));
                prop_assert_eq!(text.starts_with("mqtts"), url.tls);
            }
        }
    }
}
