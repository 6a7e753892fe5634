//! The operator's side: `/livez`, `/readyz`, `/metrics`, which are open; and `/api/v1`, which is not.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ci_bridge_publisher::{Publisher, Readiness};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::sync::watch;

use crate::answer::json;
use crate::api::{self, Access, Api};
use crate::exposition::Form;

/// Answers health checks and scrapes.
pub struct Admin {
    readiness: watch::Receiver<Readiness>,
    registry: Mutex<Registry>,
    draining: AtomicBool,
    api: Api,
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

impl Admin {
    /// Reports what the publisher says of itself and what `registry` counts, and lets those that `access` knows look at
    /// what the publisher holds.
    #[must_use]
    pub fn new(publisher: Publisher, registry: Registry, access: Arc<Access>) -> Self {
        Self {
            readiness: publisher.readiness(),
            registry: Mutex::new(registry),
            draining: AtomicBool::new(false),
            api: Api::new(publisher, access),
        }
    }

    /// From now on `/readyz` says no: the bridge finishes what it has and takes nothing new.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Answers a request that came to this address of ours.
    pub(crate) async fn answer(&self, request: &Request<Incoming>, local: IpAddr) -> Response<Full<Bytes>> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/livez" | "/readyz" | "/metrics" if !is_read => {
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET it\n");
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
            "/livez" => json(StatusCode::OK, "application/json", &Status { status: "alive" }),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics(Form::asked_for(request.headers())),
            path if path.starts_with(api::PREFIX) => self.api.answer(request, local).await,
            _ => plain(StatusCode::NOT_FOUND, "there are /livez, /readyz, /metrics and /api/v1/\n"),
        }
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        if self.draining.load(Ordering::Relaxed) {
            return json(StatusCode::SERVICE_UNAVAILABLE, "application/json", &Readiness::draining());
        }
        let readiness = self.readiness.borrow();
        let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, "application/json", &*readiness)
    }

    fn metrics(&self, form: Form) -> Response<Full<Bytes>> {
        let mut text = String::new();
        // Encoding reads counters only: a panic there leaves the registry as it was.
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if encode(&mut text, &registry).is_err() {
            return plain(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be encoded\n");
        }
        let mut response = Response::new(Full::from(form.of(text)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        response
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
