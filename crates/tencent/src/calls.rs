//! The questions: lists of jobs and runs, single ones by id, and queues.

use std::time::SystemTime;

use ci_bridge_schema::{ApiAnswer, Described, Queue};
use time::{OffsetDateTime, UtcOffset};

use crate::bucket::Bucket;
use crate::client::Client;
use crate::error::Error;
use crate::pages::Pages;

/// Which jobs or runs are listed: those created in this time that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobQuery {
    /// The earliest creation.
    pub from: SystemTime,
    /// The latest.
    pub to: SystemTime,
}

/// What a search by id came to.
#[derive(Debug)]
pub enum Lookup<T> {
    /// What was made of the answer.
    Found(T),
    /// CI knows nothing of that id.
    Unknown,
}

/// The states that a job does not leave again.
const ENDED: &str = "Success,Failed,Cancel";
/// The most that the API takes.
const PAGE: &str = "100";
/// The jobs of all newer services.
const JOBS: &str = "/jobs";
/// The only tag of the document service, which has a list of its own.
const DOC_PROCESS: &str = "DocProcess";
/// Where a job can be by its id: the newer path of all families first, then that of documents, the older ones, and runs.
const BY_ID: [&str; 6] = [JOBS, "/doc_jobs", "/workflowexecution", "/pic_jobs", "/ai_jobs", "/file_jobs"];

/// The paths of queues, each of a family of jobs.
pub const QUEUE_FAMILIES: [&str; 6] =
    ["/queue", "/picqueue", "/ai_queue", "/asrqueue", "/file_queue", "/docqueue"];

/// The tags that the vendor documents for jobs of queues: each is a list of its own.
#[must_use]
pub fn documented_tags() -> &'static [&'static str] {
    &[
        "Animation",
        "Concat",
        "DigitalWatermark",
        "DocProcess",
        "DocWatermark",
        "ExtractDigitalWatermark",
        "FileCompress",
        "FileHashCode",
        "FileUncompress",
        "ImageInspect",
        "ImageOCR",
        "MediaInfo",
        "NoiseReduction",
        "PicProcess",
        "QualityEstimate",
        "SDRtoHDR",
        "Segment",
        "SmartCover",
        "Snapshot",
        "SoundHound",
        "SpeechRecognition",
        "StreamExtract",
        "SuperResolution",
        "Transcode",
        "Translation",
        "Tts",
        "VideoMontage",
        "VideoProcess",
        "VideoTag",
        "VideoTargetRec",
        "VocalScore",
        "VoiceSeparate",
        "WordsGeneralize",
    ]
}

impl Client {
    /// The jobs of one tag that have ended, oldest creation first.
    #[must_use]
    pub fn jobs(&self, bucket: &Bucket, tag: &str, query: JobQuery) -> Pages<'_> {
        let path = if tag == DOC_PROCESS { "/doc_jobs" } else { JOBS };
        let mut parameters = query.parameters();
        parameters.push(("tag", tag.to_owned()));
        Pages::new(self, bucket, path, parameters)
    }

    /// The workflow runs that have ended: of each its id, its state and when it was created.
    #[must_use]
    pub fn runs(&self, bucket: &Bucket, query: JobQuery) -> Pages<'_> {
        Pages::new(self, bucket, "/workflowexecution", query.parameters())
    }

    /// One run, with its tasks.
    ///
    /// # Errors
    ///
    /// As for every question.
    pub async fn run<T>(
        &self,
        bucket: &Bucket,
        id: &str,
        read: impl FnOnce(Described<'_>) -> T,
    ) -> Result<Lookup<T>, Error> {
        let read = |answer: &ApiAnswer<'_>| first(answer.runs(bucket.name()), read);
        not_found_is_unknown(self.ask(bucket, &path_of("/workflowexecution", id)?, &[], read).await)
    }

    /// A job or a run by its id, wherever CI keeps it.
    ///
    /// # Errors
    ///
    /// As for every question. A path that this bucket's services do not have is no error, and one that the key may not ask
    /// only where no other has the job.
    pub async fn find<T>(
        &self,
        bucket: &Bucket,
        id: &str,
        mut read: impl FnMut(Described<'_>) -> T,
    ) -> Result<Lookup<T>, Error> {
        let mut denied = None;
        for family in BY_ID {
            let read = |answer: &ApiAnswer<'_>| {
                let mut described = answer.jobs();
                described.extend(answer.runs(bucket.name()));
                first(described, &mut read)
            };
            let asked = self.ask(bucket, &path_of(family, id)?, &[], read).await;
            match not_found_is_unknown(asked) {
                Ok(Lookup::Unknown) => {}
                Ok(found) => return Ok(found),
                // A right that is missing for documents says nothing of runs.
                Err(Error::Refused(refusal)) if refusal.is_denied() && !refusal.is_about_everything() => {
                    denied.get_or_insert(Error::Refused(refusal));
                }
                Err(error) => return Err(error),
            }
        }
        denied.map_or(Ok(Lookup::Unknown), Err)
    }

    /// The queues of one family; see [`QUEUE_FAMILIES`].
    ///
    /// # Errors
    ///
    /// As for every question.
    pub async fn queues(&self, bucket: &Bucket, family: &str) -> Result<Vec<Queue>, Error> {
        let mut queues = Vec::new();
        for page in 1..=MAX_QUEUE_PAGES {
            let number = page.to_string();
            let parameters = [("pageNumber", number.as_str()), ("pageSize", PAGE)];
            let (found, total) =
                self.ask(bucket, family, &parameters, |answer| (answer.queues(), answer.total())).await?;
            let is_last = found.is_empty();
            queues.extend(found);
            let is_all = total.is_none_or(|total| queues.len() as u64 >= total);
            if is_last || is_all {
                break;
            }
        }
        Ok(queues)
    }
}

/// A thousand queues: an account may have some tens.
const MAX_QUEUE_PAGES: usize = 10;

impl JobQuery {
    fn parameters(self) -> Vec<(&'static str, String)> {
        vec![
            ("states", ENDED.to_owned()),
            ("startCreationTime", spelled(self.from)),
            ("endCreationTime", spelled(self.to)),
            // So that what is created meanwhile comes behind what was listed.
            ("orderByTime", "Asc".to_owned()),
            ("size", PAGE.to_owned()),
        ]
    }
}

/// As the API has times: `2022-06-27T00:00:00+0800`.
fn spelled(time: SystemTime) -> String {
    let of_beijing = UtcOffset::from_hms(8, 0, 0).unwrap_or(UtcOffset::UTC);
    let time = OffsetDateTime::from(time).to_offset(of_beijing);
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = time.to_hms();
    let (offset, ..) = time.offset().as_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+{offset:02}00")
}

fn first<'a, T>(described: Vec<Described<'a>>, read: impl FnOnce(Described<'a>) -> T) -> Option<T> {
    described.into_iter().next().map(read)
}

fn not_found_is_unknown<T>(asked: Result<Option<T>, Error>) -> Result<Lookup<T>, Error> {
    match asked {
        Ok(Some(found)) => Ok(Lookup::Found(found)),
        Ok(None) => Ok(Lookup::Unknown),
        // A bucket that is not there is another matter.
        Err(Error::Refused(refusal)) if refusal.is_not_found() => Ok(Lookup::Unknown),
        Err(error) => Err(error),
    }
}

/// The path of several jobs, which only `/jobs` is documented to have: each of the ids as [`path_of`] takes it.
///
/// # Errors
///
/// [`Error::Question`] for what is no id.
pub fn path_of_all(ids: &[&str]) -> Result<String, Error> {
    ids.iter().try_for_each(|id| path_of(JOBS, id).map(drop))?;
    Ok(format!("{JOBS}/{}", ids.join(",")))
}

/// The path of one job: an id becomes part of it, and only what the vendor's ids are made of may.
///
/// # Errors
///
/// [`Error::Question`] for what is no id.
pub fn path_of(family: &str, id: &str) -> Result<String, Error> {
    const LONGEST: usize = 128;
    let is_id = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match is_id && (1..=LONGEST).contains(&id.len()) {
        true => Ok(format!("{family}/{id}")),
        false => {
            Err(Error::Question(format!("{id:?} is no job's id: they are letters, digits, '-' and '_'")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_are_spelled_as_the_api_has_them() {
        assert_eq!(spelled(UNIX_EPOCH + Duration::from_secs(1_656_314_673)), "2022-06-27T15:24:33+0800");
    }

    #[test]
    fn only_an_id_goes_into_a_path() {
        assert_eq!(path_of("/jobs", "j8d1_-").unwrap(), "/jobs/j8d1_-");
        assert_eq!(path_of_all(&["j1", "j2"]).unwrap(), "/jobs/j1,j2");
        for id in ["", "a/b", "..", "a,b", "a?b", "a b", &"x".repeat(200)] {
            assert!(path_of("/jobs", id).is_err(), "{id}");
            assert!(path_of_all(&["j1", id]).is_err(), "{id}");
        }
    }
}
