//! Settings as the modules take them.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::{Config, Error};
use crate::analysis::{Limits, MAX_VARIABLES};
use crate::host::Host;
use crate::outbound::{self, InvalidRange};
use crate::pipeline::{self, Broker};
use crate::sandbox;
use crate::vault::MAX_VALUE_CAP;

impl Config {
    /// The sandbox's settings, without a folder for artefacts.
    pub fn sandbox(&self) -> Result<sandbox::Settings, Error> {
        let compile = Duration::from_secs(self.number("compile_seconds", 1, 3_600)?);
        Ok(sandbox::Settings {
            guests: usize::try_from(self.number("guests", 1, 4_096)?).unwrap_or(usize::MAX),
            memory_budget_bytes: self.number("memory_budget_bytes", 1 << 20, u64::MAX)?,
            caps: Limits {
                wall_time_ms: self.number("wall_time_cap_ms", 1, 7 * 86_400_000)?,
                memory_bytes: self.number("memory_cap_bytes", 1 << 16, 4 << 30)?,
                console_bytes: self.number("console_cap_bytes", 1, 1 << 30)?,
                result_bytes: self.number("result_cap_bytes", 1, 1 << 30)?,
                module_bytes: self.number("module_cap_bytes", 1, 1 << 30)?,
                concurrency: self.number("concurrency_cap", 1, 1_000_000)?,
                queued_runs: self.number("queued_runs_cap", 1, 1_000_000_000)?,
                outbound_requests: self.number("outbound_requests_cap", 1, 1_000_000_000)?,
                outbound_request_bytes: self.number("outbound_request_bytes_cap", 1, 1 << 40)?,
                outbound_response_bytes: self.number("outbound_response_bytes_cap", 1, 1 << 40)?,
                outbound_connections: self.number("outbound_connections_cap", 1, 512)?,
                scratch_bytes: self.number("scratch_cap_bytes", 0, 1 << 40)?,
            },
            compile: sandbox::CompileBounds {
                cpu: compile,
                wall: compile,
                memory_bytes: self.number("compile_memory_bytes", 1 << 28, u64::MAX)?,
            },
            ..sandbox::Settings::default()
        })
    }

    /// How analyses reach the network.
    pub fn outbound(&self) -> Result<outbound::Settings, Error> {
        let range = |text: &str| text.parse().ok();
        let host = |text: &str| {
            let (name, address) = text.split_once('=')?;
            let host = Host::parse(name.trim()).ok()?;
            Some((host, address.trim().parse().ok()?))
        };
        let addresses = "names with an address each, such as db.internal=10.0.0.7";
        Ok(outbound::Settings {
            private_ranges: self.list(
                "outbound_private_ranges",
                &InvalidRange.to_string(),
                range,
            )?,
            hosts: self.list("outbound_hosts", addresses, host)?.into_iter().collect(),
            ca_file: match self.values.contains_key("outbound_ca_file") {
                true => Some(self.path("outbound_ca_file")?),
                false => None,
            },
            egress_over_plain_http: self.parse(
                "outbound_egress_over_plain_http",
                "true or false",
                |_| true,
            )?,
        })
    }

    /// The parts of a value between commas; none where nothing is set.
    fn list<T>(
        &self,
        name: &'static str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let Some((value, origin)) = self.values.get(name) else { return Ok(Vec::new()) };
        let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(read).collect::<Option<_>>().ok_or_else(|| Error::Value {
            name,
            origin: origin.clone(),
            value: value.clone(),
            expected: expected.into(),
        })
    }

    /// How long what has ended is kept.
    pub fn retention(&self) -> Result<pipeline::Retention, Error> {
        let days = |name| {
            let days = self.number(name, 0, 36_500)?;
            Ok((days > 0).then(|| Duration::from_secs(days * 86_400)))
        };
        let newest = self.number("retention_runs", 0, 1_000_000_000)?;
        Ok(pipeline::Retention {
            runs: days("retention_days")?,
            newest_runs: (newest > 0).then_some(newest),
            slots: days("retention_slots_days")?,
            audit: days("audit_days")?,
        })
    }

    /// The MQTT broker, if one is named.
    pub fn broker(&self) -> Result<Option<Broker>, Error> {
        let text = |name| self.values.get(name).map(|(value, _)| value.clone());
        let Some(url) = text("mqtt_url") else {
            let lone = ["mqtt_user", "mqtt_password_file", "mqtt_client_id"];
            let lone = lone.into_iter().find(|name| self.values.contains_key(name));
            return lone.map_or(Ok(None), |name| Err(Error::NoBroker(name)));
        };
        let password_file = text("mqtt_password_file").map(|_| self.path("mqtt_password_file"));
        Ok(Some(Broker {
            url: url.parse().map_err(|_| Error::Broker)?,
            user: text("mqtt_user"),
            password_file: password_file.transpose()?,
            client_id: text("mqtt_client_id"),
        }))
    }

    /// The settings of everything together.
    pub fn pipeline(&self) -> Result<pipeline::Settings, Error> {
        let (data, root_key) = (self.data()?, self.root_key()?);
        if resolved(&root_key).starts_with(resolved(&data)) {
            return Err(Error::RootKeyInside(root_key));
        }
        let cap = self.number("secret_value_cap", 1, MAX_VALUE_CAP.into())?;
        let variables = self.number("max_variables", 1, 1_000)?;
        Ok(pipeline::Settings {
            data,
            store: self.store()?,
            root_key,
            broker: self.broker()?,
            sandbox: self.sandbox()?,
            outbound: self.outbound()?,
            secret_value_cap: u32::try_from(cap).unwrap_or(MAX_VALUE_CAP),
            max_variables: usize::try_from(variables).unwrap_or(MAX_VARIABLES),
            retention: self.retention()?,
        })
    }
}

/// An absolute path as the system will find it: links followed as far as it exists, `..` taken out.
fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            resolved.pop();
            continue;
        }
        resolved.push(part);
        if let Ok(real) = fs::canonicalize(&resolved) {
            resolved = real;
        }
    }
    resolved
}
