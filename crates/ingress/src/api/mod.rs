//! `/api/v1` of the admin listener: what waits in the spool, for `ci-bridge spool` and whoever else looks after a bridge.
//!
//! One table of resources, one file for each; `access` says who may.

mod access;
mod parameters;
mod problem;
mod spool;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use ci_bridge_publisher::Publisher;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response};
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;

pub use access::Access;
use parameters::Parameters;
use problem::Problem;

/// Where everything of it begins.
pub(crate) const PREFIX: &str = "/api/v1/";

/// Requests that may look through the spool at once: each reads all of it, a page at a time.
const MAX_LOOKS: usize = 4;

/// Answers requests for what the bridge holds.
pub(crate) struct Api {
    publisher: Publisher,
    access: Arc<Access>,
    looks: Arc<Semaphore>,
}

/// What can be asked for.
#[derive(Debug, PartialEq)]
enum Resource {
    /// How full the spool is.
    Spool,
    /// What waits in it.
    Messages,
    /// The messages under one id.
    Message(String),
}

type Reply = Result<Response<Full<Bytes>>, Problem>;

impl Api {
    pub(crate) fn new(publisher: Publisher, access: Arc<Access>) -> Self {
        Self { publisher, access, looks: Arc::new(Semaphore::new(MAX_LOOKS)) }
    }

    /// Answers a request that came to this address of ours.
    pub(crate) async fn answer<B>(&self, request: &Request<B>, local: IpAddr) -> Response<Full<Bytes>> {
        let mut response = self.try_answer(request, local).await.unwrap_or_else(Problem::into_response);
        let headers = response.headers_mut();
        // What a sender wrote stands in it: no browser is to make a page of that, and nobody is to keep it.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn try_answer<B>(&self, request: &Request<B>, local: IpAddr) -> Reply {
        // First: a page of a stranger's name learns nothing, not even what there is.
        self.access.check_host(request, local)?;
        let resource = Resource::at(request.uri().path()).ok_or_else(Problem::no_such_resource)?;
        let method = match *request.method() {
            // hyper leaves the body out.
            Method::HEAD => &Method::GET,
            ref method => method,
        };
        let methods = resource.methods();
        if !methods.contains(method) {
            return Err(Problem::method_not_allowed(methods));
        }
        let permit = self.access.permit(request.headers(), method)?;
        let parameters = Parameters::of(request.uri().query().unwrap_or_default())?;
        match (resource, method) {
            (Resource::Spool, _) => self.spool_status(parameters),
            (Resource::Messages, &Method::DELETE) => self.give_up_all(parameters).await,
            (Resource::Messages, _) => self.messages(parameters, permit).await,
            (Resource::Message(id), &Method::DELETE) => self.give_up(&id, parameters).await,
            (Resource::Message(id), _) => self.message(&id, parameters, permit).await,
        }
    }
}

impl Resource {
    /// The resource at a path; an id may have any character, percent-encoded.
    fn at(path: &str) -> Option<Self> {
        let segments: Vec<_> = path.strip_prefix(PREFIX)?.split('/').collect();
        match segments[..] {
            ["spool"] => Some(Self::Spool),
            ["spool", "messages"] => Some(Self::Messages),
            ["spool", "messages", id] => {
                let id = percent_decode_str(id).decode_utf8().ok()?;
                (!id.is_empty()).then(|| Self::Message(id.into_owned()))
            }
            _ => None,
        }
    }

    fn methods(&self) -> &'static [Method] {
        match self {
            Self::Spool => &[Method::GET],
            Self::Messages | Self::Message(_) => &[Method::GET, Method::DELETE],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_resource_or_none() {
        let message = |id: &str| Some(Resource::Message(id.to_owned()));
        for (path, expected) in [
            ("/api/v1/spool", Some(Resource::Spool)),
            ("/api/v1/spool/messages", Some(Resource::Messages)),
            ("/api/v1/spool/messages/task:j1:Success", message("task:j1:Success")),
            ("/api/v1/spool/messages/task%3Aj1%2F..%3ASuccess@ci.x", message("task:j1/..:Success@ci.x")),
            ("/api/v1/spool/messages/a%2", message("a%2")),
            ("/api/v1/spool/messages/", None),
            ("/api/v1/spool/messages/%ff", None),
            ("/api/v1/spool/messages/a/b", None),
            ("/api/v1/spool/", None),
            ("/api/v1//spool", None),
            ("/api/v1/../v1/spool", None),
            ("/api/v2/spool", None),
            ("/api/v1/", None),
        ] {
            assert_eq!(Resource::at(path), expected, "{path}");
        }
    }
}
