//! The way through a dataset: trace by trace, then session by session, each with what the planner makes of it.

use std::sync::Arc;

use super::item::Item;
use super::plan::Planner;
use crate::dataset::{DatasetError, DatasetReader, Entry, Notice, Notices, Reject, Sessions};
use crate::run::setup::selection::{NotSelected, Selecting, Selection};
use crate::run::until::WaveWalk;
use crate::trace::Session;

/// What one line of the dataset, or one session, came to.
#[derive(Debug)]
pub(in crate::run) enum Planned {
    Trace {
        bytes_read: u64,
        items: Vec<Item>,
        /// Failures that the run is about, if it is about failures only.
        failures: u64,
    },
    /// A session; its traces came before.
    Session {
        items: Vec<Item>,
        failures: u64,
    },
    /// A trace that is not selected.
    NotSelected {
        bytes_read: u64,
        why: NotSelected,
    },
    Reject(Reject),
    Duplicate,
    Unreadable(DatasetError),
    /// The end of a wave: the next one waits until it is known whether it is needed.
    WaveEnd,
    /// No more lines.
    End {
        /// What the user should know of how the dataset was read.
        notices: Notices,
        /// Ids that were named and that the dataset lacks.
        absent: Vec<String>,
    },
}

impl Planned {
    /// What it holds of the dataset.
    pub(in crate::run) fn bytes(&self) -> usize {
        match self {
            Self::Trace { items, .. } | Self::Session { items, .. } => items.iter().map(Item::bytes).sum(),
            _ => 0,
        }
    }

    /// Whether there is nothing to do but to count it.
    pub(in crate::run) fn is_counted_only(&self) -> bool {
        match self {
            Self::Trace { items, .. } | Self::Session { items, .. } => items.iter().all(Item::is_counted_only),
            Self::NotSelected { .. } | Self::Duplicate => true,
            Self::Reject(_) | Self::Unreadable(_) | Self::WaveEnd | Self::End { .. } => false,
        }
    }
}

/// Ends with [`Planned::End`].
pub(in crate::run) struct Walk<'a> {
    planner: &'a Planner,
    selection: Arc<Selection>,
    selecting: Selecting,
    dataset: DatasetReader,
    /// Where traces are asked in random order.
    waves: Option<WaveWalk>,
    stage: Stage,
}

enum Stage {
    Begin,
    /// All traces go to their sessions, whether they are selected or not, if sessions are judged.
    Traces(Option<Sessions>),
    /// And how many were taken.
    Sessions(Box<dyn Iterator<Item = Result<Session, DatasetError>>>, u64),
    WaveEnd,
    End,
    Over,
}

impl<'a> Walk<'a> {
    pub(in crate::run) fn new(
        planner: &'a Planner,
        dataset: DatasetReader,
        selection: Arc<Selection>,
        waves: Option<WaveWalk>,
    ) -> Self {
        let selecting = Selecting::new(Arc::clone(&selection));
        Self { planner, selection, selecting, dataset, waves, stage: Stage::Begin }
    }

    fn begin(&mut self) -> Option<Planned> {
        match self.planner.judges_sessions().then(Sessions::new).transpose() {
            Ok(sessions) => {
                self.stage = Stage::Traces(sessions);
                None
            }
            Err(error) => Some(self.unreadable(error)),
        }
    }

    fn unreadable(&mut self, error: DatasetError) -> Planned {
        // Half a session would be judged as if it were one.
        self.stage = Stage::End;
        Planned::Unreadable(error)
    }

    /// The next line, or the next stage.
    fn line(&mut self) -> Option<Planned> {
        // The limit counts traces where traces or their spans are judged; sessions are whole only at the dataset's end.
        let enough = self.selecting.is_done() && self.planner.judges_traces();
        let is_first_wave = self.waves.as_ref().is_none_or(WaveWalk::is_first);
        let Stage::Traces(sessions) = &mut self.stage else { return None };
        let entry = if enough && sessions.is_none() { None } else { self.dataset.next() };
        let planned = match entry {
            Some(Ok(Entry::Trace(located))) => {
                let trace = located.value;
                if let Some(sessions) = sessions
                    && let Err(error) = sessions.add(&trace)
                {
                    return Some(self.unreadable(error));
                }
                if enough {
                    return None;
                }
                let bytes_read = self.dataset.bytes_read();
                match self.selecting.not_selected(&trace) {
                    // Counted in the first wave.
                    Some(_) if !is_first_wave => return None,
                    Some(why) => Planned::NotSelected { bytes_read, why },
                    None if self.waves.as_ref().is_some_and(|waves| !waves.holds(&trace)) => return None,
                    None => {
                        let (items, failures) = self.planner.items(&trace);
                        Planned::Trace { bytes_read, items, failures }
                    }
                }
            }
            Some(Ok(Entry::Reject(_) | Entry::Duplicate(_))) if !is_first_wave => return None,
            Some(Ok(Entry::Reject(reject))) => Planned::Reject(reject),
            Some(Ok(Entry::Duplicate(_))) => Planned::Duplicate,
            Some(Err(error)) => self.unreadable(error),
            None => match sessions.take().map(Sessions::into_sessions).transpose() {
                Ok(Some(sessions)) => {
                    self.stage = Stage::Sessions(Box::new(sessions), 0);
                    return None;
                }
                Ok(None) if self.waves.is_some() => {
                    self.stage = Stage::WaveEnd;
                    return Some(Planned::WaveEnd);
                }
                Ok(None) => {
                    self.stage = Stage::End;
                    return None;
                }
                Err(error) => self.unreadable(error),
            },
        };
        Some(planned)
    }

    /// Waits for the next wave.
    fn wave(&mut self) -> Option<Planned> {
        match self.waves.as_mut().and_then(WaveWalk::next) {
            Some(Ok(dataset)) => {
                self.dataset = dataset;
                self.stage = Stage::Traces(None);
                None
            }
            Some(Err(error)) => Some(self.unreadable(error)),
            None => {
                self.stage = Stage::End;
                None
            }
        }
    }

    /// The next session, or the next stage.
    fn session(&mut self) -> Option<Planned> {
        let Stage::Sessions(sessions, taken) = &mut self.stage else { return None };
        let enough = self.selection.limit.is_some_and(|limit| *taken >= limit);
        match sessions.next().filter(|_| !enough) {
            Some(Ok(session)) if self.selection.not_selected(session.last()).is_some() => {
                Some(Planned::Session { items: self.planner.session_left_out(), failures: 0 })
            }
            Some(Ok(session)) => {
                *taken += 1;
                let (items, failures) = self.planner.items_of_session(&session);
                Some(Planned::Session { items, failures })
            }
            Some(Err(error)) => Some(self.unreadable(error)),
            None => {
                self.stage = Stage::End;
                None
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        loop {
            let planned = match self.stage {
                Stage::Begin => self.begin(),
                Stage::Traces(_) => self.line(),
                Stage::Sessions(..) => self.session(),
                Stage::WaveEnd => self.wave(),
                Stage::End => {
                    self.stage = Stage::Over;
                    let mut notices = self.dataset.stats().notices.clone();
                    self.selecting.unmet().for_each(|member| notices.add(Notice::UnmetMember(member.to_owned())));
                    Some(Planned::End { notices, absent: self.selecting.absent() })
                }
                Stage::Over => return None,
            };
            if planned.is_some() {
                return planned;
            }
        }
    }
}
