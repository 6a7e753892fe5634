//! From a request to its answer: which endpoint, may it, its body, and then the story.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::debug;

use crate::answer::Answer;
use crate::auth;
use crate::body::{self, Unread};
use crate::budget::Share;
use crate::callback::Ingress;
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::framing;
use crate::http2;
use crate::metrics::Outcome;
use crate::place::InProgress;
use crate::trace::Traceparent;

impl Ingress {
    /// Answers one request. `begun` notes that it is in progress, unless its connection is being closed for another;
    /// `permit` is its place among all in flight, if there was one. Not async: what the head decides is decided at
    /// once, so that no future has to carry the head.
    pub(crate) fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        begun: Option<InProgress>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = Result<Response<Full<bytes::Bytes>>, Infallible>> + Send + use<> {
        let headers = request.headers();
        // Where a chunked body ends two readers may disagree, so nothing after it is taken for a request.
        let is_last = headers.contains_key(header::TRANSFER_ENCODING);
        let waits_for_leave = headers.contains_key(header::EXPECT);
        let trace = Traceparent::read(headers);
        let admitted = permit.is_some().then(|| self.admit(&request, peer));
        let body = Unread::new(request.into_body(), waits_for_leave);
        async move {
            let Some(in_progress) = begun else {
                return std::future::pending().await;
            };
            let held_until_answered = permit;
            let received = self.metrics.received();
            let (answer, unread) = match admitted {
                Some(Ok(endpoint)) => self.take(endpoint, body, trace).await,
                Some(Err(answer)) => (answer, Some(body)),
                None => (Answer::Overloaded("requests in flight (max_in_flight)"), Some(body)),
            };
            if let Some(reason) = answer.rejection() {
                debug!(%peer, reason, "request rejected");
                self.metrics.rejected(reason);
            }
            let outcome = answer.outcome();
            received.answered(outcome);
            drop(held_until_answered);
            // From here on nothing is held for the request but its connection, and that not against others.
            if outcome == Outcome::Rejected {
                in_progress.refused();
            }
            if let Some(body) = unread {
                body.linger();
            }
            let mut response = answer.into_response();
            if is_last || self.is_closing() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    }

    /// Reads the body, and tells the story; gives back a body that was not read to its end.
    async fn take(
        self: &Arc<Self>,
        endpoint: Arc<Endpoint>,
        mut body: Unread,
        trace: Option<Traceparent>,
    ) -> (Answer, Option<Unread>) {
        let limits = &self.limits;
        let mut share = Share::new(self.metrics.bytes_in_flight.clone(), limits.max_bytes_in_flight);
        let limit =
            body::Limit { bytes: limits.max_body, trailers: limits.max_headers, within: limits.body_timeout };
        let bytes = match body.read(limit, &mut share).await {
            Ok(bytes) => bytes,
            Err(answer) => return (answer, Some(body)),
        };
        drop(body);
        let failed = |_| Answer::Unavailable("an internal error; the log has more".to_owned());
        let told = Arc::clone(self).spawn(endpoint, bytes, trace, share).await;
        (told.unwrap_or_else(failed), None)
    }

    /// Tells the story in a task of its own: a sender that hangs up must not end a publish halfway. Not async, so
    /// that connections, which have most of the futures, are not as large as the story.
    fn spawn(
        self: Arc<Self>,
        endpoint: Arc<Endpoint>,
        body: bytes::Bytes,
        trace: Option<Traceparent>,
        share: Share,
    ) -> JoinHandle<Answer> {
        // Boxed, because spawning moves what it is given several times.
        tokio::spawn(Box::pin(async move {
            let _held_until_answered = share;
            let late = |_| Answer::Unavailable("no answer from NATS within the deadline".to_owned());
            // Where it stands: a timeout would move it, and it is large.
            let story = pin!(self.receive(&endpoint, body, trace));
            timeout(self.limits.deadline, story).await.unwrap_or_else(late)
        }))
    }

    /// The endpoint that takes the request, decided from its head alone.
    fn admit(&self, request: &Request<Incoming>, peer: IpAddr) -> Result<Arc<Endpoint>, Answer> {
        // In HTTP/2 nothing else counts them.
        if request.headers().len() > self.limits.max_headers {
            return Err(Answer::Malformed(Fault::TooManyHeaders));
        }
        if let Some(fault) = framing::marked(request).or_else(|| http2::fault(request)) {
            return Err(Answer::Malformed(fault));
        }
        // A proxy could look at one and the bridge at the other.
        if request.headers().get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
            return Err(Answer::Malformed(Fault::TwoAuthorizations));
        }
        let uri = request.uri();
        let endpoints = self.endpoints();
        let matching = endpoints.iter().filter_map(|e| Some((e, e.token_in(uri.path())?)));
        // Of `/ci` with a token and `/ci/callback`, the path itself is meant.
        let longest = matching.max_by_key(|(endpoint, _)| endpoint.path.len());
        let (endpoint, token) = longest.ok_or(Answer::NoSuchPath)?;
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

/// The first content coding other than none.
fn content_coding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let codings = values.flat_map(|value| value.to_str().unwrap_or("?").split(',')).map(str::trim);
    let mut other = codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
    other.next().map(str::to_owned)
}
