//! Whole requests through a session, to real servers on this machine.

mod bounds;
mod forbidden;
mod passage;
mod server;
mod tls;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Bytes;

use super::*;
use crate::analysis::Limits;
use server::Server;

/// A client that finds `answers[n]` when it looks a name up for the nth time, and the last of them
/// from then on; it may reach 127.0.0.1. Beside it stands how often it looked.
fn client(answers: &[&[&str]]) -> (Client, Arc<AtomicUsize>) {
    let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
    let answers: Vec<Vec<IpAddr>> = answers.iter().map(parse).collect();
    let looked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looked);
    let lookup = Arc::new(move |_: &str| {
        let turn = count.fetch_add(1, Ordering::Relaxed);
        Ok(answers[turn.min(answers.len() - 1)].clone())
    });
    let settings =
        Settings { private_ranges: vec!["127.0.0.1".parse().unwrap()], ..Settings::default() };
    (Client::with_lookup(&settings, lookup).unwrap(), looked)
}

/// The way of a run that may reach everything a client for 127.0.0.1 can.
fn open(limits: Limits) -> Fetch {
    let (client, _) = client(&[&["127.0.0.1"]]);
    Session::new(client, Box::new(|_| Ok(())), limits).fetch()
}

fn get(url: impl AsRef<str>) -> Request {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    hyper::Request::get(url.as_ref()).body(body).unwrap()
}

fn post(url: impl AsRef<str>, size: usize) -> Request {
    let body = Full::new(Bytes::from(vec![b'x'; size])).map_err(|never| match never {});
    hyper::Request::post(url.as_ref()).body(body.boxed_unsync()).unwrap()
}

async fn send(fetch: &Fetch, request: Request) -> Result<Response, String> {
    fetch(request, Timeouts::default()).await.map_err(|error| error.to_string())
}

async fn read(response: Response) -> Result<String, String> {
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}
