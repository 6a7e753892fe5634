//! `tests/instructions.txt`: a body and a number a line.

/// Below this share of its budget, a count has fallen so far that the budget no longer holds anything.
const SLACK: f64 = 0.85;

/// What one callback of a body may take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) body: String,
    pub(crate) instructions: u64,
}

impl Budget {
    /// # Errors
    ///
    /// A line that is neither a comment nor a body and a number; or not a single budget.
    pub(crate) fn read(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let budgets: Vec<_> = lines.map(Self::of_line).collect::<Result<_, _>>()?;
        if budgets.is_empty() { Err("no budget at all".to_owned()) } else { Ok(budgets) }
    }

    fn of_line(line: &str) -> Result<Self, String> {
        let wrong = || format!("'{line}' is not a body and a number of instructions");
        let (body, number) = line.split_once(char::is_whitespace).ok_or_else(wrong)?;
        let instructions = number.trim().parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
        Ok(Self { body: body.to_owned(), instructions })
    }

    pub(crate) fn verdict(&self, count: u64) -> Verdict {
        let Self { body, instructions } = self;
        if count > *instructions {
            return Verdict::Exceeded(format!(
                "{body}: {count} instructions a callback, and the budget is {instructions}"
            ));
        }
        if (count as f64) < *instructions as f64 * SLACK {
            return Verdict::Slack(format!(
                "{body}: far below its budget, which should be lowered in tests/instructions.txt"
            ));
        }
        Verdict::Kept
    }
}

/// How a count stands to its budget.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    /// The budget holds nothing any more: worth a word.
    Slack(String),
    Exceeded(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_budgets_and_lines_that_are_not() {
        let budgets = Budget::read("# a comment\n\nxml   91500\njobs:64 5280000\n").expect("two budgets");
        let body = |body: &str, instructions| Budget { body: body.to_owned(), instructions };
        assert_eq!(budgets, [body("xml", 91_500), body("jobs:64", 5_280_000)]);
        for text in ["", "# only a comment", "xml", "xml many", "xml 0"] {
            assert!(Budget::read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_count_is_held_against_its_budget() {
        let budget = Budget { body: "xml".to_owned(), instructions: 100 };
        assert_eq!(budget.verdict(100), Verdict::Kept);
        assert!(matches!(budget.verdict(101), Verdict::Exceeded(_)));
        assert!(matches!(budget.verdict(10), Verdict::Slack(_)));
    }
}
