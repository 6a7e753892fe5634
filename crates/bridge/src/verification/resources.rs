//! Where CI may keep what a claim is about. Everything here is a stranger's word, so it only chooses among what is
//! configured and documented, and no claim leads to more than two services of a bucket.

use ci_bridge_ingress::Claim;
use ci_bridge_schema::Kind;
use ci_bridge_tencent::{Bucket, path_of};

/// A path of CI's query API at a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Resource {
    /// Its number among those that are configured.
    pub(super) bucket: usize,
    /// The path before an id.
    pub(super) family: &'static str,
}

impl Resource {
    /// Only this service is documented to answer for several ids at once.
    pub(super) fn takes_a_list(self) -> bool {
        self.family == "/jobs"
    }
}

/// The resources of a claim, in the order in which they are asked; or why CI cannot be asked for it.
pub(super) fn of(claim: &Claim, buckets: &[Bucket]) -> Result<Vec<Resource>, String> {
    let (Some(id), Some(_)) = (&claim.id, &claim.state) else {
        return Err("it names no job, or no state, that CI could be asked for".to_owned());
    };
    let Some(families) = families(claim) else {
        return Err("it does not say of which moderation it is, so CI cannot be asked for it".to_owned());
    };
    let is_named = |bucket: &Bucket| claim.bucket.as_deref().is_none_or(|name| bucket.name() == name);
    let numbers = buckets.iter().enumerate().filter(|(_, bucket)| is_named(bucket)).map(|(number, _)| number);
    let resources: Vec<_> =
        numbers.flat_map(|bucket| families.iter().map(move |family| Resource { bucket, family })).collect();
    if resources.is_empty() {
        return Err(
            "its bucket is not one of reconcile.buckets, which are the only ones that are asked".to_owned()
        );
    }
    // Together with others, one that is no id would spoil the question.
    match path_of(resources[0].family, id) {
        Ok(_) => Ok(resources),
        Err(error) => Err(error.to_string()),
    }
}

/// The services that may have it: `/jobs` has the jobs of all queues, and the older services those of their own.
/// `None` for a moderation of which none is known.
fn families(claim: &Claim) -> Option<&'static [&'static str]> {
    Some(match claim.kind {
        Kind::Workflow => &["/workflowexecution"],
        Kind::Task => match claim.tag.as_deref().unwrap_or_default() {
            "DocProcess" => &["/doc_jobs"],
            "PicProcess" | "PosterProduction" => &["/jobs", "/pic_jobs"],
            "Translation" | "WordsGeneralize" => &["/jobs", "/ai_jobs"],
            tag if tag.starts_with("File") => &["/jobs", "/file_jobs"],
            _ => &["/jobs"],
        },
        Kind::Moderation => match claim.event.as_deref() {
            Some("ReviewImage") => &["/image/auditing"],
            Some("ReviewVideo") => &["/video/auditing"],
            Some("ReviewAudio") => &["/audio/auditing"],
            Some("ReviewText") => &["/text/auditing"],
            Some("ReviewDocument") => &["/document/auditing"],
            Some("ReviewHtml") => &["/webpage/auditing"],
            Some(_) => return None,
            // The only one without an event.
            None => &["/virus/detect"],
        },
    })
}
