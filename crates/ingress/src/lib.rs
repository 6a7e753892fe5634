//! The thin HTTP server in front: who may send, how much, and what is answered.
//!
//! [`Ingress::receive`](callback) takes a callback all the way: parse, normalise, route, publish, respond.
//! Everything around it is HTTP.

mod admin;
mod admin_server;
mod answer;
mod api;
mod auth;
mod authority;
mod body;
mod budget;
pub mod callback;
mod characters;
mod connection;
mod cost;
mod detach;
mod endpoint;
mod exposition;
mod fault;
mod framing;
mod guard;
mod http2;
mod life;
mod limits;
mod long;
mod metrics;
mod page;
mod published;
mod recent;
mod refusals;
mod rejection;
mod report;
mod request;
mod server;
mod shown;
mod slot;
mod tls;
mod trace;
mod verify;
mod waker_filter;

pub use admin::Admin;
pub use admin_server::serve_admin;
pub use api::Access;
pub use auth::{AllowFrom, Secret, Secrets};
pub use callback::Ingress;
pub use endpoint::Endpoint;
pub use limits::Limits;
pub use recent::Recent;
pub use server::serve_callbacks;
pub use shown::{
    Reconcile, Reconciled, Recovered, Reload, Setting, Settings as ShownSettings, Shown, ShownCertificate,
    milliseconds_since_1970,
};
pub use tls::{Tls, TlsIdentity, TlsProblem};
pub use verify::{Claim, Verdict, Verifier, WithoutAnswer};
