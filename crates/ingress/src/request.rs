//! From a request to its answer: which endpoint, may it, its body, and then the story.

use std::net::IpAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::debug;

use crate::answer::Answer;
use crate::auth;
use crate::body;
use crate::callback::Ingress;
use crate::endpoint::Endpoint;
use crate::trace::Traceparent;

impl Ingress {
    /// Answers one request. `permit` is its place among those in flight, if there was one.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Response<Full<bytes::Bytes>> {
        let received = self.metrics.received();
        self.metrics.in_flight.inc();
        let answer = match permit {
            Some(_) => self.handle(request, peer).await,
            None => Answer::Overloaded("requests in flight (max_in_flight)"),
        };
        self.metrics.in_flight.dec();
        if let Some(reason) = answer.rejection() {
            debug!(%peer, reason, "request rejected");
            self.metrics.rejected(reason);
        }
        received.answered(answer.outcome());
        let mut response = answer.into_response();
        if self.is_closing() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn handle(self: &Arc<Self>, request: Request<Incoming>, peer: IpAddr) -> Answer {
        let endpoint = match self.admit(&request, peer) {
            Ok(endpoint) => endpoint,
            Err(answer) => return answer,
        };
        let trace = Traceparent::read(request.headers());
        let body = match body::read(request.into_body(), self.limits.max_body, self.limits.body_timeout).await
        {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        // A task of its own: a sender that hangs up must not end a publish halfway.
        let ingress = Arc::clone(self);
        let story = async move {
            let receiving = ingress.receive(&endpoint, body, trace);
            let late = || Answer::Unavailable("no answer from NATS within the deadline".to_owned());
            timeout(ingress.limits.deadline, receiving).await.unwrap_or_else(|_| late())
        };
        let failed = |_| Answer::Unavailable("an internal error; the log has more".to_owned());
        tokio::spawn(story).await.unwrap_or_else(failed)
    }

    /// The endpoint that takes the request, decided from its head alone.
    fn admit(&self, request: &Request<Incoming>, peer: IpAddr) -> Result<Arc<Endpoint>, Answer> {
        let uri = request.uri();
        let endpoints = self.endpoints();
        let mut matching = endpoints.iter().filter_map(|e| Some((e, e.token_in(uri.path())?)));
        let (endpoint, token) = matching.next().ok_or(Answer::NoSuchPath)?;
        if request.method() != Method::POST {
            return Err(Answer::MethodNotAllowed);
        }
        let headers = request.headers();
        if !endpoint.allow_from.allows(peer, headers) {
            return Err(Answer::AddressNotAllowed);
        }
        if !endpoint.secrets.is_empty() {
            let presented = auth::presented(token, uri.query(), headers);
            if presented.is_empty() {
                return Err(Answer::Unauthenticated(
                    "a token is needed: as the last path segment, ?token=, Authorization: Bearer or basic password",
                ));
            }
            if !endpoint.secrets.accept(&presented) {
                return Err(Answer::Unauthenticated("the token is not one of this endpoint's"));
            }
        }
        match content_coding(headers) {
            Some(coding) => Err(Answer::ContentCoding(coding)),
            None => Ok(Arc::clone(endpoint)),
        }
    }
}

/// A content coding other than none.
fn content_coding(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_ENCODING)?;
    let coding = value.to_str().unwrap_or("?").trim().to_owned();
    (!coding.is_empty() && !coding.eq_ignore_ascii_case("identity")).then_some(coding)
}
