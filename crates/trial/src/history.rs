//! What was done to one thing, and so which of its states an answer may show.

use std::time::Duration;

/// What can replace a state: only one that is as final, or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finality {
    /// Anything.
    None,
    /// Nothing but the end of all.
    Final,
    /// Nothing.
    End,
}

/// A state that something was brought into, or may have been.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Write {
    number: u64,
    state: String,
    /// When it was asked for.
    called: Duration,
    /// When somebody was told that it holds; `None` while it is unknown whether it does.
    answered: Option<Duration>,
    finality: Finality,
}

/// One thing that has one state at a time, changed by several nodes: a regular register (Lamport, "On interprocess
/// communication", 1986), of writes that overlap and may never answer.
#[derive(Debug, Default)]
pub(crate) struct History {
    writes: Vec<Write>,
    next: u64,
}

/// A write that was begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun(u64);

impl History {
    /// Somebody asks for this state.
    pub(crate) fn begin(&mut self, state: &str, finality: Finality, called: Duration) -> Begun {
        let number = self.next;
        self.next += 1;
        self.writes.push(Write {
            number,
            state: state.to_owned(),
            called,
            answered: None,
            finality,
        });
        Begun(number)
    }

    /// They were told that it holds.
    pub(crate) fn held(&mut self, begun: Begun, answered: Duration) {
        if let Some(write) = self.writes.iter_mut().find(|write| write.number == begun.0) {
            write.answered = Some(answered);
        }
    }

    /// They were told that it was not done.
    pub(crate) fn refused(&mut self, begun: Begun) {
        self.writes.retain(|write| write.number != begun.0);
    }

    /// Whether an answer that was asked for at `began` and there at `ended` may show this state.
    ///
    /// It may show any state that was asked for before the end, unless another was asked for after that one had answered
    /// and had itself answered before the beginning.
    pub(crate) fn allows(&self, state: &str, began: Duration, ended: Duration) -> bool {
        let before = || {
            self.writes
                .iter()
                .filter(|write| write.answered.is_some_and(|answered| answered < began))
        };
        let reached = before().map(|write| write.finality).max();
        let replaced_until = before().map(|write| write.called).max();
        self.writes.iter().any(|write| {
            let is_replaced = write
                .answered
                .zip(replaced_until)
                .is_some_and(|(answered, until)| answered < until);
            write.state == state
                && write.called <= ended
                && !is_replaced
                && Some(write.finality) >= reached
        })
    }

    /// The last writes, for whoever reads why something was not allowed.
    pub(crate) fn tail(&self) -> String {
        let first = self.writes.len().saturating_sub(6);
        self.writes[first..]
            .iter()
            .map(|write| {
                let answered = write
                    .answered
                    .map_or_else(|| "?".to_owned(), |answered| format!("{answered:.4?}"));
                format!(
                    "{} asked {:.4?} answered {answered}",
                    write.state, write.called
                )
            })
            .collect::<Vec<_>>()
            .join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Each write is its state, when it was asked for and answered; a state in capitals is final, and GONE is the end.
    fn history(writes: &[(&str, u64, Option<u64>)]) -> History {
        let mut history = History::default();
        for (state, called, answered) in writes {
            let finality = match *state {
                "GONE" => Finality::End,
                state if state.chars().all(char::is_uppercase) => Finality::Final,
                _ => Finality::None,
            };
            let begun = history.begin(state, finality, at(*called));
            if let Some(answered) = answered {
                history.held(begun, at(*answered));
            }
        }
        history
    }

    #[test]
    fn what_was_replaced_before_the_question_is_not_allowed() {
        let history = history(&[("a", 1, Some(2)), ("b", 5, Some(7))]);
        assert!(
            history.allows("a", at(6), at(9)),
            "the change has not answered yet"
        );
        assert!(history.allows("b", at(6), at(9)));
        assert!(
            history.allows("a", at(7), at(9)),
            "it answered in the same moment"
        );
        assert!(!history.allows("a", at(8), at(9)), "stale");
        assert!(history.allows("b", at(8), at(9)));
        assert!(
            !history.allows("b", at(3), at(4)),
            "nobody has asked for it yet"
        );
        assert!(
            !history.allows("c", at(8), at(9)),
            "nobody ever asked for it"
        );
    }

    #[test]
    fn what_was_asked_for_and_never_answered_may_come_at_any_time() {
        let history = history(&[("a", 1, Some(2)), ("b", 3, None), ("c", 5, Some(6))]);
        assert!(history.allows("b", at(9), at(9)));
        assert!(history.allows("c", at(9), at(9)));
        assert!(!history.allows("a", at(9), at(9)));
    }

    #[test]
    fn of_two_that_overlap_either_may_be_the_last() {
        let history = history(&[("a", 1, Some(2)), ("b", 3, Some(6)), ("c", 4, Some(5))]);
        for state in ["b", "c"] {
            assert!(history.allows(state, at(9), at(9)), "{state}");
        }
        assert!(!history.allows("a", at(9), at(9)));
    }

    #[test]
    fn one_repeat_that_answered_is_enough() {
        let history = history(&[("a", 1, Some(2)), ("b", 3, None), ("b", 4, Some(5))]);
        assert!(!history.allows("a", at(6), at(6)));
        assert!(history.allows("b", at(6), at(6)));
    }

    #[test]
    fn one_final_state_may_replace_another() {
        let history = history(&[("END", 1, Some(2)), ("GONE", 3, Some(5))]);
        assert!(history.allows("END", at(4), at(4)));
        assert!(history.allows("GONE", at(4), at(4)));
        assert!(!history.allows("END", at(6), at(6)));
        assert!(history.allows("GONE", at(6), at(6)));
    }

    #[test]
    fn after_a_final_one_nothing_else_is_allowed() {
        let history = history(&[("a", 1, None), ("END", 3, Some(5)), ("b", 4, None)]);
        assert!(history.allows("a", at(4), at(9)));
        assert!(!history.allows("a", at(6), at(9)));
        assert!(!history.allows("b", at(6), at(9)));
        assert!(history.allows("END", at(6), at(9)));
    }

    #[test]
    fn after_the_end_no_final_state_comes_even_one_that_was_never_answered() {
        let history = history(&[("END", 1, None), ("END", 2, Some(3)), ("GONE", 4, Some(5))]);
        assert!(history.allows("END", at(5), at(6)));
        assert!(!history.allows("END", at(6), at(6)));
        assert!(history.allows("GONE", at(6), at(6)));
    }

    #[test]
    fn what_was_refused_never_was() {
        let mut history = history(&[("a", 1, Some(2))]);
        let begun = history.begin("b", Finality::None, at(3));
        history.refused(begun);
        assert!(!history.allows("b", at(4), at(4)));
        assert!(history.allows("a", at(4), at(4)));
    }
}
