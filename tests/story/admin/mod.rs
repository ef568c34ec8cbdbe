//! The admin panel, used through its router as a browser does.

mod browser;
mod pages;
mod policies;
mod sign_in;
