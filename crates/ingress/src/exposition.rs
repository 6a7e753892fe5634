//! The two forms in which metrics are scraped: OpenMetrics, which is what is encoded, and the older Prometheus text
//! format 0.0.4, which some collectors read alone.

use hyper::header::{ACCEPT, HeaderMap};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    OpenMetrics,
    /// Text format 0.0.4.
    Prometheus,
}

impl Form {
    /// The one that `Accept` prefers; OpenMetrics when it does not care.
    pub(crate) fn asked_for(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<_> = values.flat_map(|value| value.split(',')).map(Range::read).collect();
        let weight = |media_type: &str| {
            let matching = ranges.iter().filter(|range| range.covers(media_type));
            // The most precise range counts, and of several of the same the heaviest.
            matching.max_by_key(|range| (range.precision(), range.weight)).map_or(0, |range| range.weight)
        };
        match weight("text/plain") > weight("application/openmetrics-text") {
            true => Self::Prometheus,
            false => Self::OpenMetrics,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Metrics that are encoded as OpenMetrics, in this form.
    pub(crate) fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Prometheus => prometheus(&open_metrics),
        }
    }
}

/// One entry of `Accept`.
struct Range<'a> {
    media_type: &'a str,
    /// In thousandths.
    weight: u16,
}

impl<'a> Range<'a> {
    fn read(entry: &'a str) -> Self {
        let mut parts = entry.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
        // Between 0 and 1000, so nothing is cut off.
        let weight = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
        Self { media_type, weight }
    }

    /// 2 for a type, 1 for all of a kind, 0 for everything.
    fn precision(&self) -> u8 {
        match self.media_type {
            "*/*" => 0,
            other if other.ends_with("/*") => 1,
            _ => 2,
        }
    }

    fn covers(&self, media_type: &str) -> bool {
        let kind = |text: &str| text.split('/').next().unwrap_or_default().to_ascii_lowercase();
        match self.precision() {
            0 => true,
            1 => kind(self.media_type) == kind(media_type),
            _ => self.media_type.eq_ignore_ascii_case(media_type),
        }
    }
}

/// Text format 0.0.4 knows no units and no end, and calls a counter by the name of its samples, `_total` included; so
/// an info, which is a gauge to it.
fn prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // HELP comes before the TYPE that tells how it is called.
    let mut help = None;
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), sentence) => {
                help = Some((name, sentence.unwrap_or_default()));
            }
            (Some("#"), Some("TYPE"), Some(name), kind) => {
                let (suffix, kind) = match kind {
                    Some("counter") => ("_total", "counter"),
                    Some("info") => ("_info", "gauge"),
                    Some("unknown") | None => ("", "untyped"),
                    Some(kind) => ("", kind),
                };
                if let Some((_, sentence)) = help.take().filter(|(of, _)| *of == name) {
                    // Here a quotation mark in a sentence is itself.
                    let sentence = sentence.replace("\\\"", "\"");
                    text.push_str(&format!("# HELP {name}{suffix} {sentence}\n"));
                }
                text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
            }
            (Some("#"), ..) => {}
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_chooses_the_form() {
        let rows: [(&[&str], Form); 14] = [
            (&[], Form::OpenMetrics),
            (&["*/*"], Form::OpenMetrics),
            (&["application/json"], Form::OpenMetrics),
            (&["text/plain"], Form::Prometheus),
            (&["Text/Plain; version=0.0.4"], Form::Prometheus),
            (&["text/*"], Form::Prometheus),
            (&["text/plain;q=0"], Form::OpenMetrics),
            (&["text/plain;q=0.5, */*;q=0.1"], Form::Prometheus),
            (&["application/openmetrics-text, text/plain"], Form::OpenMetrics),
            (&["application/openmetrics-text;q=0.2, text/plain;q=0.3"], Form::Prometheus),
            (&["application/openmetrics-text;q=0.2", "text/plain;q=0.3"], Form::Prometheus),
            (&["*/*, application/openmetrics-text;q=0.1"], Form::Prometheus),
            (&["nonsense;q=many"], Form::OpenMetrics),
            // What Prometheus itself sends.
            (
                &["application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                   application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
                   text/plain;version=0.0.4;q=0.3,*/*;q=0.2"],
                Form::OpenMetrics,
            ),
        ];
        for (values, expected) in rows {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, value.parse().unwrap());
            }
            assert_eq!(Form::asked_for(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn counters_are_called_by_their_samples_and_units_are_left_out() {
        let open_metrics = "# HELP a Jobs, \\\"all\\\" of them.\n# TYPE a counter\na_total{x=\"y # z\"} 3\n\
            # HELP b_seconds Time.\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\nb_seconds_sum 1.5\n\
            # HELP c What.\n# TYPE c unknown\nc 1\n# HELP d Which.\n# TYPE d info\nd_info{v=\"1\"} 1\n# EOF\n";
        let text = "# HELP a_total Jobs, \"all\" of them.\n# TYPE a_total counter\na_total{x=\"y # z\"} 3\n\
            # HELP b_seconds Time.\n# TYPE b_seconds histogram\nb_seconds_sum 1.5\n\
            # HELP c What.\n# TYPE c untyped\nc 1\n# HELP d_info Which.\n# TYPE d_info gauge\nd_info{v=\"1\"} 1\n";
        assert_eq!(Form::Prometheus.of(open_metrics.to_owned()), text);
        assert_eq!(Form::OpenMetrics.of(open_metrics.to_owned()), open_metrics);
    }
}
