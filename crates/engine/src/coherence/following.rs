//! The history of changes, followed without a gap.

use keywright_store::cluster::{LOG_PART, LogMark, LogPart, LogRow, Told};

/// What a part of the log adds to what is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step<'p> {
    /// The changes after the mark that was followed from.
    pub(super) changes: &'p [LogRow],
    /// The mark after them.
    pub(super) mark: LogMark,
    /// Whether these are all there were.
    pub(super) is_all: bool,
}

/// Why the log is not the one that was followed so far.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Break {
    /// The database is older than what was applied: a restore, or a failover that lost changes.
    Older,
    /// The change at this mark was another: a restore, or a failover that lost changes.
    Another,
    /// Changes are missing: the node was away for so long that they were trimmed.
    Missing,
}

impl Break {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Older => {
                "the database has fewer changes than were applied here: it was restored, or changes were lost"
            }
            Self::Another => {
                "the database has another change than was applied here: it was restored, or changes were lost"
            }
            Self::Missing => "changes that were not applied here are not in the database any more",
        }
    }
}

/// Where the newest change is.
pub(super) fn newest(part: &LogPart) -> LogMark {
    part.rows.last().map_or(LogMark::BEGINNING, |row| row.mark)
}

/// What `part`, which was read from this mark on, adds to it.
pub(super) fn follow<'p>(from: &LogMark, part: &'p LogPart) -> Result<Step<'p>, Break> {
    if part.last_seq < from.seq {
        return Err(Break::Older);
    }
    let changes = match (&part.rows[..], from.seq) {
        (rows, 0) => rows,
        ([first, rest @ ..], seq) if first.mark.seq == seq => {
            if first.mark.nonce != from.nonce {
                return Err(Break::Another);
            }
            rest
        }
        _ => return Err(Break::Missing),
    };
    let expected = from.seq + 1..;
    if expected.zip(changes).any(|(seq, row)| row.mark.seq != seq) {
        return Err(Break::Missing);
    }
    let mark = changes.last().map_or(*from, |row| row.mark);
    let is_all = mark.seq == part.last_seq;
    if !is_all && part.rows.len() < LOG_PART {
        return Err(Break::Missing);
    }
    Ok(Step {
        changes,
        mark,
        is_all,
    })
}

/// What those that were told of add to this mark; `None` where they do not go on from it, and the log must be read.
pub(super) fn heed(from: &LogMark, told: Vec<Told>) -> Option<Vec<LogRow>> {
    let mut place = *from;
    let mut rows = Vec::with_capacity(told.len());
    for Told { after, row } in told {
        // What was read meanwhile is told of late.
        if row.mark.seq <= from.seq {
            continue;
        }
        if row.mark.seq != place.seq + 1 || after != place.nonce {
            return None;
        }
        place = row.mark;
        rows.push(row);
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use keywright_core::digest::Digest;
    use keywright_store::Scope;

    use super::*;

    fn mark(seq: u64, nonce: u8) -> LogMark {
        LogMark {
            seq,
            nonce: [nonce; 16],
        }
    }

    fn part(last_seq: u64, seqs: impl IntoIterator<Item = u64>) -> LogPart {
        LogPart {
            last_seq,
            rows: seqs
                .into_iter()
                .map(|seq| LogRow {
                    mark: mark(seq, 1),
                    scope: Scope::Key(Digest::of("a")),
                })
                .collect(),
        }
    }

    fn told(seqs: impl IntoIterator<Item = u64>) -> Vec<Told> {
        let after = |seq| if seq == 1 { [0; 16] } else { [1; 16] };
        let rows = part(0, seqs).rows.into_iter();
        rows.map(|row| Told {
            after: after(row.mark.seq),
            row,
        })
        .collect()
    }

    #[test]
    fn what_is_told_of_goes_on_from_the_mark() {
        let rows = part(0, 4..=5).rows;
        assert_eq!(heed(&mark(3, 1), told(4..=5)), Some(rows));
        let first = part(0, [1]).rows;
        assert_eq!(heed(&LogMark::BEGINNING, told([1])), Some(first));
    }

    #[test]
    fn what_was_read_meanwhile_is_told_of_late() {
        let rows = part(0, [5]).rows;
        assert_eq!(heed(&mark(4, 1), told(3..=5)), Some(rows));
        assert_eq!(heed(&mark(9, 1), told(3..=5)), Some(vec![]));
    }

    #[test]
    fn what_does_not_go_on_from_the_mark_is_read_in_the_log() {
        assert_eq!(heed(&mark(3, 1), told([5])), None, "one is missing");
        assert_eq!(heed(&mark(3, 1), told([4, 6])), None, "a gap");
        assert_eq!(heed(&mark(3, 2), told([4])), None, "another history");
        assert_eq!(heed(&LogMark::BEGINNING, told([2])), None);
    }

    #[test]
    fn what_comes_after_the_mark_is_new() {
        let part = part(5, 3..=5);
        let step = follow(&mark(3, 1), &part).unwrap();
        assert_eq!(step.changes, &part.rows[1..]);
        assert_eq!((step.mark, step.is_all), (mark(5, 1), true));
    }

    #[test]
    fn where_nothing_is_new_the_mark_stays() {
        let nothing = part(3, [3]);
        let step = follow(&mark(3, 1), &nothing).unwrap();
        assert_eq!(
            (step.changes.len(), step.mark, step.is_all),
            (0, mark(3, 1), true)
        );
        let empty = part(0, []);
        assert_eq!(
            follow(&LogMark::BEGINNING, &empty).unwrap().mark,
            LogMark::BEGINNING
        );
        assert_eq!(newest(&empty), LogMark::BEGINNING);
    }

    #[test]
    fn the_first_change_of_all_follows_the_beginning() {
        let part = part(2, 1..=2);
        assert_eq!(follow(&LogMark::BEGINNING, &part).unwrap().mark, mark(2, 1));
    }

    #[test]
    fn a_long_log_is_followed_in_parts() {
        let all = 2 * LOG_PART as u64;
        let first = part(all, 1..=LOG_PART as u64);
        let step = follow(&LogMark::BEGINNING, &first).unwrap();
        assert!(!step.is_all);
        assert_eq!(step.mark.seq, LOG_PART as u64);
    }

    #[test]
    fn another_history_is_not_followed() {
        let from = mark(3, 1);
        assert_eq!(follow(&from, &part(2, [])), Err(Break::Older));
        assert_eq!(follow(&mark(3, 2), &part(4, 3..=4)), Err(Break::Another));
        assert_eq!(
            follow(&from, &part(9, 8..=9)),
            Err(Break::Missing),
            "trimmed"
        );
        assert_eq!(
            follow(&from, &part(6, [3, 4, 6])),
            Err(Break::Missing),
            "a gap"
        );
        assert_eq!(
            follow(&from, &part(6, [3, 4])),
            Err(Break::Missing),
            "an end too early"
        );
        assert_eq!(follow(&from, &part(6, [])), Err(Break::Missing));
        assert_eq!(
            follow(&LogMark::BEGINNING, &part(6, 5..=6)),
            Err(Break::Missing)
        );
    }
}
