//! The chassis every Cloudschool process stands on: configuration, logs, error answers,
//! tokens, health, the embedded pages, serving HTTP and shutting down. One way to do each,
//! so that the four programs look alike to whoever operates them.
//!
//! Nothing here knows what a program is for: no lesson, no media, no database.

pub mod auth;
pub mod clock;
pub mod config;
mod connections;
mod cors;
pub mod health;
pub mod http;
pub mod https;
pub mod issuer;
pub mod pages;
pub mod ports;
pub mod problem;
pub mod shutdown;
pub mod telemetry;
