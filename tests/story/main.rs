//! Stories: the product used through its real router or its real binary, with real modules.
//!
//! One binary, because each further one would link wasmtime again.

mod admin;
mod approvals;
mod by_hand;
mod cli;
mod compilation;
mod conditions;
mod conformance;
mod devices;
mod docs;
mod egress;
mod exec;
mod external;
mod forgery;
mod guest_api;
mod guests;
mod harness;
mod hook_keys;
mod hooks;
mod hostile;
mod http;
#[cfg(feature = "javascript")]
mod javascript;
mod keeping;
mod layers;
mod leaks;
mod modules;
mod mqtt;
mod network;
mod nodes;
mod operations;
mod oracle;
mod policies;
mod postgres;
mod profiles;
mod queue;
mod reasons;
mod redaction;
mod runs;
mod sample_apis;
mod samples;
mod scripts;
mod sdk;
mod secrets;
mod serve;
mod shut;
mod starts;
mod tampering;
mod templates;
mod transcript;
