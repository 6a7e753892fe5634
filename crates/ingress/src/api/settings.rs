//! The configuration in effect and who set it, the last reload, certificates, and the streams.

use ci_bridge_publisher::StreamReport;
use hyper::StatusCode;
use serde::Serialize;

use super::parameters::Parameters;
use super::{Api, Reply, View, milliseconds};
use crate::answer::json;
use crate::shown::{Reload, Settings, ShownCertificate};

#[derive(Serialize)]
struct Described {
    version: &'static str,
    started: u64,
    reload: Option<Reload>,
    certificates: Vec<ShownCertificate>,
    streams: Vec<StreamReport>,
    #[serde(flatten)]
    settings: Settings,
}

impl Api {
    pub(super) fn settings(&self, view: &View, parameters: Parameters) -> Reply {
        parameters.end()?;
        let described = Described {
            version: env!("CARGO_PKG_VERSION"),
            started: milliseconds(view.recent.started()),
            reload: view.shown.reload(),
            certificates: view.shown.certificates(),
            streams: self.publisher.streams(),
            settings: view.shown.settings(),
        };
        Ok(json(StatusCode::OK, "application/json", &described))
    }
}
