//! Where a body is posted again: to the endpoint that it came to, as the configuration has it. Another endpoint may be
//! another tenant's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use super::super::post::Target;
use crate::config::{Config, tokens_in};

/// Where to post, over what the configuration says.
#[derive(Debug, Default, Args)]
pub(crate) struct TargetArgs {
    /// Post here, whatever the configuration says; the token of an endpoint may be the URL's last segment
    #[arg(long)]
    url: Option<String>,
    /// With --url: the endpoint's token, sent as a bearer
    #[arg(long, env = "CI_BRIDGE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// For https: the authority of the bridge's certificate (PEM); without --url, the configured certificate itself is trusted
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// For https: a client certificate to show (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl TargetArgs {
    /// Where a body goes that comes for the first time: to an endpoint of that name, or to the first.
    ///
    /// # Errors
    ///
    /// A sentence that says why there is no such place.
    pub(in crate::command) fn chosen(&self, name: Option<&str>, config: &Config) -> Result<Target, String> {
        let endpoints = &config.ingress.endpoints;
        let first = endpoints.first().map(|endpoint| endpoint.name.as_str());
        if let Some(name) = name.filter(|name| endpoints.iter().all(|endpoint| endpoint.name != *name)) {
            let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
            return Err(format!("there is no endpoint {name:?}: the configuration has {}", names.join(", ")));
        }
        Ok(self.towards(name.or(first), config)?.with_token(self.token.clone()))
    }

    /// Where a body goes that came to this endpoint.
    ///
    /// # Errors
    ///
    /// A sentence that says why there is no such place.
    pub(super) fn towards(&self, endpoint: Option<&str>, config: &Config) -> Result<Target, String> {
        let (ca, client) = (self.ca.clone(), self.cert.clone().zip(self.key.clone()));
        if let Some(url) = &self.url {
            return Ok(Target::new(url.clone(), self.token.clone(), ca, client));
        }
        let name = endpoint.ok_or("it does not say to which endpoint it came: name where to with --url")?;
        let endpoint = config.ingress.endpoints.iter().find(|endpoint| endpoint.name == name);
        let endpoint = endpoint.ok_or_else(|| {
            format!("it came to the endpoint {name:?}, which the configuration does not have: name where to with --url")
        })?;
        let address = reachable(config.ingress.listen)?;
        let tls = &config.ingress.tls;
        let scheme = if tls.is_on() { "https" } else { "http" };
        let url = format!("{scheme}://{address}{}", endpoint.path);
        let in_file =
            tokens_in(&endpoint.tokens_file).map_err(|what| format!("the endpoint {name:?}: {what}"))?;
        let token =
            endpoint.tokens.first().map(|token| token.expose().to_owned()).or(in_file.into_iter().next());
        let target = Target::new(url, token, ca, client);
        Ok(if tls.is_on() && self.ca.is_none() { target.trusting(tls.cert.clone()) } else { target })
    }
}

/// A listener on every address is reached on loopback.
fn reachable(listen: SocketAddr) -> Result<SocketAddr, String> {
    let ip = match listen.ip() {
        _ if listen.port() == 0 => {
            return Err("ingress.listen has port 0: name the port that was taken with --url".to_owned());
        }
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, listen.port()))
}

/// Why nothing was posted at all, for the entry's line.
pub(super) fn sentence(error: &io::Error) -> String {
    format!("not posted: {error}")
}
