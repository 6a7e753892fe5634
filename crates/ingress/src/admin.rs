//! The operator's side: `/livez`, `/readyz` and each of its checks, `/metrics`, which are open; `/api/v1`, which is not; and
//! the page that shows it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ci_bridge_publisher::{Publisher, Readiness};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::sync::watch;

use crate::answer::json;
use crate::api::{self, Access, Api, Body, Caller};
use crate::callback::Ingress;
use crate::exposition::Form;
use crate::page::Page;
use crate::shown::Shown;

/// Each check of `/readyz` has a path of its own behind it, as those of Kubernetes' components have.
const CHECKS: &str = "/readyz/";

/// Answers health checks and scrapes.
pub struct Admin {
    readiness: watch::Receiver<Readiness>,
    registry: Mutex<Registry>,
    draining: Arc<AtomicBool>,
    page: Page,
    pub(crate) api: Api,
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

impl Admin {
    /// Reports what the publisher says of itself and what `registry` counts, and lets those that `access` knows look at
    /// what the publisher holds; and at what came to `ingress` and what is `shown`, where `ingress` remembers.
    #[must_use]
    pub fn new(
        publisher: Publisher,
        registry: Registry,
        access: Arc<Access>,
        ingress: &Arc<Ingress>,
        shown: Arc<Shown>,
    ) -> Self {
        let draining = Arc::new(AtomicBool::new(false));
        Self {
            readiness: publisher.readiness(),
            registry: Mutex::new(registry),
            draining: Arc::clone(&draining),
            page: Page::new(),
            api: Api::new(publisher, access, draining, ingress, shown),
        }
    }

    /// From now on `/readyz` says no: the bridge finishes what it has and takes nothing new.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Tells pages that listen that it is over: nothing follows.
    pub fn end_events(&self) {
        self.api.stop_telling();
    }

    pub(crate) async fn answer(&self, request: &Request<Incoming>, caller: &Caller) -> Response<Body> {
        if request.uri().path().starts_with(api::PREFIX) {
            return self.api.answer(request, caller).await;
        }
        self.answer_at_once(request, caller).map(Either::Left)
    }

    fn answer_at_once(&self, request: &Request<Incoming>, caller: &Caller) -> Response<Full<Bytes>> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let path = request.uri().path();
        match path {
            _ if !is_read && (path == "/metrics" || Self::is_probe(path)) => {
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET it\n");
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
            "/livez" => json(StatusCode::OK, "application/json", &Status { status: "alive" }),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics(Form::asked_for(request.headers())),
            _ if is_read && path.starts_with(CHECKS) => self.check(&path[CHECKS.len()..]),
            _ if self.api.has_page() && Page::has(path) => match self.api.foreign(request, caller) {
                Some(refusal) => refusal,
                None => self.page.answer(request.method(), path, request.headers()),
            },
            _ => plain(
                StatusCode::NOT_FOUND,
                "there are /livez, /readyz, /readyz/<check>, /metrics, /api/v1/ and, unless it is off, the page at /\n",
            ),
        }
    }

    /// Whether it is a health check that has this path.
    pub(crate) fn is_probe(path: &str) -> bool {
        matches!(path, "/livez" | "/readyz") || path.starts_with(CHECKS)
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        if self.draining.load(Ordering::Relaxed) {
            return json(StatusCode::SERVICE_UNAVAILABLE, "application/json", &Readiness::draining());
        }
        let readiness = self.readiness.borrow();
        json(status(readiness.ready), "application/json", &*readiness)
    }

    /// One check of `/readyz`. Shutdown has the last word on what it is about; the others stay as they are.
    fn check(&self, name: &str) -> Response<Full<Bytes>> {
        let draining = self.draining.load(Ordering::Relaxed).then(Readiness::draining);
        let readiness = self.readiness.borrow();
        let found = draining.and_then(|draining| draining.answer(name)).or_else(|| readiness.answer(name));
        match found {
            Some(check) => json(status(check.ok), "application/json", &check),
            None => {
                let there = readiness.checks.iter().map(|check| check.name).collect::<Vec<_>>().join(", ");
                plain(StatusCode::NOT_FOUND, format!("at the moment the checks are {there}\n"))
            }
        }
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

fn status(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
