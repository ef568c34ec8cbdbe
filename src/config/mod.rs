//! Settings: defaults, then `runner.toml`, then `RUNNER_*` variables, then flags.
//!
//! Owns the one list of settings, where each value came from, and their conversion into what the
//! modules take. It opens nothing.

mod convert;
mod defaults;
mod log_format;
mod setting;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::pipeline::InvalidBrokerUrl;
use crate::vault::RootKey;

pub use log_format::LogFormat;
pub use setting::{SETTINGS, Setting};

/// Where a setting's value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Built in.
    Default,
    /// The settings file.
    File(PathBuf),
    /// A variable of the process.
    Variable(String),
    /// A flag of the command line.
    Flag,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings file cannot be read.
    #[error("the settings file {path} cannot be read: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The settings file is not TOML.
    #[error("the settings file {path} is not TOML: {message}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What the parser says.
        message: String,
    },
    /// A name in the file is not a setting.
    #[error("the settings file {path} has the unknown setting {name:?}; `runner config` lists all")]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A value does not fit its setting.
    #[error("the setting {name} (from: {origin}) is {value:?}; it must be {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// Where the value came from.
        origin: Origin,
        /// The value.
        value: String,
        /// What would fit.
        expected: String,
    },
    /// The store is not a URL of PostgreSQL. It is not repeated: it may hold a password.
    #[error("the setting store must look like postgres://user@host:5432/database")]
    Store,
    /// The broker is not a URL of MQTT. It is not repeated: it may hold a password.
    #[error(
        "the setting mqtt_url: {InvalidBrokerUrl}; user and password have settings of their own"
    )]
    Broker,
    /// A setting about the broker, and no broker.
    #[error("the setting {0} is of no use without mqtt_url")]
    NoBroker(&'static str),
    /// There is no home directory to put defaults in.
    #[error("{0} is not known: set HOME, or give the path")]
    NoHome(&'static str),
    /// The setting holds a key where it needs a path. The message does not repeat it.
    #[error("the setting root_key holds a root key itself; it must be the path of a file with it")]
    RootKeyItself,
    /// The root key would lie beside what it protects.
    #[error("the root key {0} lies inside the data directory; keep it elsewhere")]
    RootKeyInside(PathBuf),
}

/// Settings given as flags.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--store`.
    pub store: Option<String>,
    /// `--root-key`.
    pub root_key: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
}

/// All settings, each with its origin.
pub struct Config {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Config {
    /// Gathers the settings of this process.
    pub fn load(flags: &Flags) -> Result<Self, Error> {
        Self::gather(flags, &|name| env::var(name).ok())
    }

    fn gather(flags: &Flags, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let mut config = Self { values: defaults::all(variable) };
        config.read_file(flags, variable)?;
        for setting in SETTINGS {
            let name = format!("RUNNER_{}", setting.name.to_uppercase());
            if let Some(value) = variable(&name).filter(|value| !value.is_empty()) {
                config.values.insert(setting.name, (value, Origin::Variable(name)));
            }
        }
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let given = [
            ("data", path(&flags.data)),
            ("root_key", path(&flags.root_key)),
            ("store", flags.store.clone()),
            ("listen", flags.listen.map(|address| address.to_string())),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                config.values.insert(name, (value, Origin::Flag));
            }
        }
        let named = config.values.get("root_key").map_or("", |(value, _)| value);
        if RootKey::parse(named).is_ok() {
            return Err(Error::RootKeyItself);
        }
        // Wrong values are told at once, whichever command it is.
        config.pipeline()?;
        config.listen()?;
        config.drain()?;
        config.log_format()?;
        Ok(config)
    }

    fn read_file(
        &mut self,
        flags: &Flags,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), Error> {
        let named = flags.config.clone().or_else(|| variable("RUNNER_CONFIG").map(PathBuf::from));
        let path = match &named {
            Some(path) => path.clone(),
            None => match defaults::config_folder(variable) {
                Some(folder) => folder.join("runner.toml"),
                None => return Ok(()),
            },
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
                return Ok(());
            }
            Err(error) => return Err(Error::File { path, error }),
        };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| Error::Syntax {
            path: path.clone(),
            message: error.message().to_owned(),
        })?;
        for (name, value) in table {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
                return Err(Error::Unknown { path, name });
            };
            let value = written(value);
            self.values.insert(setting.name, (value, Origin::File(path.clone())));
        }
        Ok(())
    }

    /// Each setting with its value and the value's origin; a setting without value is left out.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, &str, &Origin)> {
        SETTINGS.iter().filter_map(|setting| {
            let (value, origin) = self.values.get(setting.name)?;
            // A URL may hold a password.
            let value = if setting.name == "store" { "postgres://…" } else { value.as_str() };
            Some((setting, value, origin))
        })
    }

    /// The data directory.
    pub fn data(&self) -> Result<PathBuf, Error> {
        self.path("data")
    }

    /// The file with the root key.
    pub fn root_key(&self) -> Result<PathBuf, Error> {
        self.path("root_key")
    }

    /// The URL of the shared store, if there is one.
    pub fn store(&self) -> Result<Option<String>, Error> {
        let Some((url, _)) = self.values.get("store") else { return Ok(None) };
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Some(url.clone()));
        }
        Err(Error::Store)
    }

    /// The address of the HTTP API.
    pub fn listen(&self) -> Result<SocketAddr, Error> {
        self.parse("listen", "an address and a port such as 127.0.0.1:8888", |_| true)
    }

    /// The time that running guests get when `serve` stops.
    pub fn drain(&self) -> Result<Duration, Error> {
        self.number("drain_seconds", 0, 86_400).map(Duration::from_secs)
    }

    /// The form of the log's lines.
    pub fn log_format(&self) -> Result<LogFormat, Error> {
        self.parse("log_format", "text or json", |_| true)
    }

    fn path(&self, name: &'static str) -> Result<PathBuf, Error> {
        let (value, _) = self.values.get(name).ok_or(Error::NoHome(name))?;
        std::path::absolute(value).map_err(|error| Error::File { path: value.into(), error })
    }

    fn number(&self, name: &'static str, least: u64, most: u64) -> Result<u64, Error> {
        let expected = match most {
            u64::MAX => format!("a whole number of at least {least}"),
            _ => format!("a whole number from {least} to {most}"),
        };
        self.parse(name, &expected, |number| (least..=most).contains(number))
    }

    fn parse<T: std::str::FromStr>(
        &self,
        name: &'static str,
        expected: &str,
        fits: impl Fn(&T) -> bool,
    ) -> Result<T, Error> {
        let (value, origin) = self.values.get(name).ok_or(Error::NoHome(name))?;
        value.parse().ok().filter(fits).ok_or_else(|| Error::Value {
            name,
            origin: origin.clone(),
            value: value.clone(),
            expected: expected.into(),
        })
    }
}

/// A value of the file as one text: lists and tables as they stand in a variable.
fn written(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        toml::Value::Array(values) => {
            values.into_iter().map(written).collect::<Vec<_>>().join(", ")
        }
        toml::Value::Table(values) => {
            let pairs =
                values.into_iter().map(|(name, value)| format!("{name}={}", written(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/ada".into())
    }

    #[test]
    fn flags_beat_variables_which_beat_the_file_which_beats_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runner.toml");
        fs::write(&file, "guests = 3\nlisten = \"127.0.0.1:1\"\ndata = \"/from/file\"\n").unwrap();
        let mut flags = Flags { config: Some(file.clone()), ..Flags::default() };
        flags.data = Some("/from/flag".into());
        let variable = |name: &str| match name {
            "RUNNER_DATA" | "RUNNER_LISTEN" => Some("127.0.0.1:2".to_owned()),
            _ => home(name),
        };
        let config = Config::gather(&flags, &variable).unwrap();
        assert_eq!(config.data().unwrap(), PathBuf::from("/from/flag"));
        assert_eq!(config.listen().unwrap().port(), 2);
        assert_eq!(config.sandbox().unwrap().guests, 3);
        let origins: Vec<_> = config.iter().map(|(s, _, o)| (s.name, o.clone())).collect();
        assert!(origins.contains(&("guests", Origin::File(file))));
        assert!(origins.contains(&("listen", Origin::Variable("RUNNER_LISTEN".into()))));
        assert!(origins.contains(&("data", Origin::Flag)));
        assert!(origins.contains(&("max_variables", Origin::Default)));
        // There is no store unless one is named, and nothing about a broker or a private network.
        assert_eq!(origins.len(), SETTINGS.len() - 8);
    }

    #[test]
    fn a_broker_is_named_by_its_url_which_is_not_repeated_when_it_is_wrong() {
        let gather = |set: &[(&str, &str)]| {
            let variable = |name: &str| {
                let set = set.iter().find(|(set, _)| *set == name).map(|(_, v)| (*v).to_owned());
                set.or_else(|| home(name))
            };
            Config::gather(&Flags::default(), &variable)
        };
        let set = [("RUNNER_MQTT_URL", "mqtt://broker"), ("RUNNER_MQTT_PASSWORD_FILE", "/p")];
        let broker = gather(&set).unwrap().broker().unwrap().unwrap();
        assert_eq!((broker.user, broker.password_file), (None, Some("/p".into())));
        assert!(gather(&[]).unwrap().broker().unwrap().is_none());
        let refused = gather(&[("RUNNER_MQTT_URL", "mqtt://u:hunter2@b")]).err().unwrap();
        let refused = refused.to_string();
        assert!(refused.contains("mqtt://broker.example:1883"), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
        let alone = gather(&[("RUNNER_MQTT_USER", "ada")]).err().unwrap().to_string();
        assert!(alone.contains("mqtt_user is of no use without mqtt_url"), "{alone}");
    }

    #[test]
    fn unknown_names_and_wrong_values_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runner.toml");
        let refused = |text: &str| {
            fs::write(&file, text).unwrap();
            let flags = Flags { config: Some(file.clone()), ..Flags::default() };
            Config::gather(&flags, &home).err().unwrap().to_string()
        };
        assert!(refused("gusets = 3").contains("unknown setting \"gusets\""));
        assert!(refused("guests = 0").contains("from 1 to 4096"));
        assert!(refused("guests = ").contains("not TOML"));
        assert!(refused("listen = \"here\"").contains("an address and a port"));
        assert!(refused("log_format = \"xml\"").contains("must be text or json"));
        assert!(refused("outbound_private_ranges = [\"0.0.0.0/0\"]").contains("10.0.0.0/8"));
        assert!(refused("outbound_hosts = { \"a b\" = \"10.0.0.7\" }").contains("db.internal="));
        assert!(refused("outbound_hosts = \"db.internal\"").contains("db.internal="));
        assert!(refused("root_key = \"/home/ada/.local/share/runner/key\"").contains("inside"));
    }

    #[test]
    fn lists_are_written_as_lists_or_as_one_text() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runner.toml");
        let read = |text: &str| {
            fs::write(&file, text).unwrap();
            let flags = Flags { config: Some(file.clone()), ..Flags::default() };
            Config::gather(&flags, &home).unwrap().outbound().unwrap()
        };
        for text in [
            "outbound_private_ranges = [\"10.0.0.0/8\", \"::1\"]\n\
             outbound_hosts = { \"DB.internal\" = \"10.0.0.7\" }",
            "outbound_private_ranges = \"10.0.0.0/8,::1\"\noutbound_hosts = \"db.internal=10.0.0.7\"",
        ] {
            let outbound = read(text);
            let ranges: Vec<_> = outbound.private_ranges.iter().map(ToString::to_string).collect();
            assert_eq!(ranges, ["10.0.0.0/8", "::1/128"]);
            let hosts: Vec<_> = outbound.hosts.iter().map(|(h, a)| format!("{h} {a}")).collect();
            assert_eq!(hosts, ["db.internal 10.0.0.7"]);
        }
        assert!(read("").private_ranges.is_empty());
    }

    #[test]
    fn a_named_file_must_be_there() {
        let flags = Flags { config: Some("/nowhere/runner.toml".into()), ..Flags::default() };
        assert!(matches!(Config::gather(&flags, &home), Err(Error::File { .. })));
        assert!(Config::gather(&Flags::default(), &home).is_ok());
    }
}
