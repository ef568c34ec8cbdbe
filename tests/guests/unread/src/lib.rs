//! Sends requests and signs as its scope says, tells what became of each, and looks through all of
//! its own memory for a value that it must not have.
//!
//! In the scope `{KEY}` stands for the environment's entry of that key, and `{basic:TEXT}` for TEXT
//! in base64.

// Only there is a memory that is all of the instance.
#![cfg(target_family = "wasm")]

mod base64;
mod http;
mod memory;

use runner_analysis::signing::{self, Algorithm};
use runner_analysis::{Context, Value, info};
use serde::{Deserialize, Serialize};

runner_analysis::analysis!(run);

#[derive(Deserialize)]
struct Scope {
    #[serde(default)]
    requests: Vec<http::Asked>,
    #[serde(default)]
    signatures: Vec<Asked>,
    /// What to print.
    #[serde(default)]
    print: Vec<String>,
    /// A value whose every byte is changed by exclusive or with `0x5a`.
    #[serde(default)]
    hidden: Vec<u8>,
}

#[derive(Deserialize)]
struct Asked {
    key: String,
    algorithm: String,
    data: String,
    #[serde(default = "once")]
    times: usize,
}

fn once() -> usize {
    1
}

#[derive(Serialize)]
struct Became {
    requests: Vec<http::Became>,
    /// Each in hexadecimal, or the refusal.
    signatures: Vec<Value>,
    /// How often the hidden value stands in the memory.
    found: usize,
}

fn run(context: &Context, scope: Value) -> Result<Became, String> {
    let scope = Scope::deserialize(scope).map_err(|error| error.to_string())?;
    let fill = |text: &str| fill(context, text);
    for text in &scope.print {
        info!("{}", fill(text));
    }
    let requests = scope.requests.iter().map(|asked| http::send(asked, &fill)).collect();
    let signatures = scope.signatures.iter().map(|asked| sign(asked, &fill)).collect();
    Ok(Became { requests, signatures, found: memory::count(&scope.hidden) })
}

fn fill(context: &Context, text: &str) -> String {
    let mut filled = text.to_owned();
    for (key, value) in context.environment.iter() {
        filled = filled.replace(&format!("{{{key}}}"), value);
    }
    while let Some(at) = filled.find("{basic:")
        && let Some(end) = filled[at..].find('}')
    {
        let encoded = base64::encode(filled[at + 7..at + end].as_bytes());
        filled.replace_range(at..=at + end, &encoded);
    }
    filled
}

fn sign(asked: &Asked, fill: &dyn Fn(&str) -> String) -> Value {
    let all = [Algorithm::HmacSha256, Algorithm::HmacSha384, Algorithm::HmacSha512];
    let Some(algorithm) = all.into_iter().find(|known| known.as_str() == asked.algorithm) else {
        return "no such algorithm".into();
    };
    let data = fill(&asked.data);
    let mut last = Err("never asked".to_owned());
    for _ in 0..asked.times {
        last = signing::sign(&asked.key, algorithm, data.as_bytes());
    }
    match last {
        Ok(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
        Err(refused) => refused.into(),
    }
}
