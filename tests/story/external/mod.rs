//! Realtime and external mode: what is told at `/events`, and runs that go to listeners outside.

mod clients;
mod console;
mod delivery;
mod limits;
mod stream;
