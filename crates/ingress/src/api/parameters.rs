//! A query's parameters: each is known and comes once, or the request is refused. A misspelt one would otherwise be a
//! wish that nobody hears.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// What a query says, by name.
#[derive(Debug)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn of(query: &str) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from);
            let (Ok(name), Ok(value)) = (decoded(name), decoded(value)) else {
                return Err(Problem::bad_parameter("the query is no UTF-8"));
            };
            if parameters.insert(name.clone(), value).is_some() {
                return Err(Problem::bad_parameter(format!("{name:?} stands twice in the query")));
            }
        }
        Ok(Self(parameters))
    }

    /// A whole number within these bounds.
    pub(super) fn number(
        &mut self,
        name: &str,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        let explain = || {
            let (least, most) = (bounds.start(), bounds.end());
            Problem::bad_parameter(format!("{name}={text:?}: write a number from {least} to {most}"))
        };
        number.map(Some).ok_or_else(explain)
    }

    /// A text, whatever it is.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// `true` or `false`; a name alone is `true`.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.0.remove(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(other) => Err(Problem::bad_parameter(format!("{name}={other:?}: write true or false"))),
        }
    }

    /// No other parameter is known.
    pub(super) fn end(self) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(Problem::bad_parameter(format!("{name:?} is no parameter of this resource"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<(Option<u64>, bool), u16> {
        let read = || {
            let mut parameters = Parameters::of(query)?;
            let found = (parameters.number("limit", 1..=10)?, parameters.flag("refused")?);
            parameters.end()?;
            Ok(found)
        };
        read().map_err(|problem: Problem| problem.status())
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (query, expected) in [
            ("", Ok((None, false))),
            ("limit=10", Ok((Some(10), false))),
            ("limit=%31&refused", Ok((Some(1), true))),
            ("refused=false&", Ok((None, false))),
            ("limit=0", Err(400)),
            ("limit=11", Err(400)),
            ("limit=-1", Err(400)),
            ("limit=", Err(400)),
            ("limit=1e1", Err(400)),
            ("limit=99999999999999999999999", Err(400)),
            ("limit=1&limit=1", Err(400)),
            ("refused=yes", Err(400)),
            ("Limit=1", Err(400)),
            ("limit=%ff", Err(400)),
            ("%00=1", Err(400)),
            ("=", Err(400)),
        ] {
            assert_eq!(read(query), expected, "{query}");
        }
    }
}
