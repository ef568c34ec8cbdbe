//! `runner` runs analyses (small programs compiled to WebAssembly) with exactly the secrets that
//! policies let each of them see.
//!
//! How a run flows through the modules, in their order:
//!
//! ```text
//! api, cli    take a request, say who asks                  (auth)
//! pipeline    queues it durably, then for each claimed run:
//!   policy      decides, from names and tags alone          (never sees a value)
//!   vault       opens what was granted                      (never hears of policies)
//!   environment lays variables over secrets, makes the redactor
//!   outbound    sends the requests that its policies allow
//!   sandbox     runs the module (analysis) with that        (never sees the vault)
//! admin       shows what the api answers as pages
//! store       keeps requests, outcomes, audit               (never sees plaintext)
//! ```
//!
//! A module imports only those above it in the list below; `tests/story/layers.rs` checks it.

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod cause;
pub mod clock;
pub mod fault;
pub mod host;
pub mod id;
pub mod metrics;
pub mod tag;

pub mod action;
pub mod analysis;
pub mod device;
pub mod vault;

pub mod policy;

pub mod environment;

pub mod run;

pub mod auth;

pub mod audit;

pub mod outbound;

pub mod sandbox;

pub mod script;

pub mod store;

pub mod pipeline;

pub mod api;

pub mod admin;

pub mod config;
pub mod shutdown;
pub mod telemetry;

pub mod cli;
mod words;
