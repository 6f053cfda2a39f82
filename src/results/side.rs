//! The logs of one side of a comparison: nights over the same traces, and their companions.

use super::by::TraceFacts;
use super::opinions::{Group, Results};
use crate::feedback::SourceType;
use crate::feedback::log::{OpenError, StandingRecords};

/// The log of one run, and its companions.
#[derive(Debug)]
pub struct Night {
    /// How it is called.
    pub name: String,
    /// The feedback on the application.
    pub records: StandingRecords,
    /// The verdicts of the same judges when asked again, to confirm that it got worse.
    pub again: Option<StandingRecords>,
    /// What they said of the anchors.
    pub anchors: Option<StandingRecords>,
}

/// The logs of one side. Several are runs over the same items: each item counts with the mean of its verdicts.
#[derive(Debug)]
pub struct Side {
    pub(super) runs: Vec<Run>,
}

#[derive(Debug)]
pub(super) struct Run {
    pub name: String,
    pub read: Read,
    pub again: Option<Results>,
    pub anchors: Option<Read>,
}

/// Records, and what they say.
#[derive(Debug)]
pub(super) struct Read {
    pub records: StandingRecords,
    pub results: Results,
}

impl Read {
    fn of(mut records: StandingRecords, facts: &TraceFacts) -> Result<Self, OpenError> {
        let results = Results::read(&mut records, &[], facts)?;
        Ok(Self { records, results })
    }
}

impl Side {
    /// From opened logs, each of one run. They are sorted chronologically.
    ///
    /// # Errors
    /// When a log can no longer be read.
    pub fn of(nights: Vec<Night>, facts: &TraceFacts) -> Result<Self, OpenError> {
        let run = |night: Night| {
            let Night { name, records, again, anchors } = night;
            let again = again.map(|records| Read::of(records, facts)).transpose()?;
            Ok(Run {
                name,
                read: Read::of(records, facts)?,
                again: again.map(|read| read.results),
                anchors: anchors.map(|records| Read::of(records, &TraceFacts::default())).transpose()?,
            })
        };
        let mut runs = nights.into_iter().map(run).collect::<Result<Vec<_>, OpenError>>()?;
        runs.sort_by(|a, b| a.last_run().cmp(b.last_run()));
        Ok(Self { runs })
    }

    /// Of one run that was read before.
    ///
    /// # Errors
    /// When the log of anchors can no longer be read.
    pub fn of_read(
        records: StandingRecords,
        results: Results,
        anchors: Option<StandingRecords>,
    ) -> Result<Self, OpenError> {
        let anchors = anchors.map(|records| Read::of(records, &TraceFacts::default())).transpose()?;
        let read = Read { records, results };
        Ok(Self { runs: vec![Run { name: String::new(), read, again: None, anchors }] })
    }

    /// The first of its runs.
    pub fn into_read(self) -> Option<(StandingRecords, Results)> {
        self.runs.into_iter().next().map(|run| (run.read.records, run.read.results))
    }

    /// The names of its judges.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.runs.iter().flat_map(|run| run.read.results.names())
    }

    /// The sources and names of the feedback, in the order in which they first appear.
    fn sources(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        for group in self.runs.iter().flat_map(|run| &run.read.results.groups) {
            let key = Key::of(group);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// Whether code made these figures from verdicts on documents.
    pub(super) fn is_ranking(&self, key: &Key) -> bool {
        self.groups(key).iter().any(|said| said.group.is_ranking())
    }

    /// Whether code made these verdicts from the votes of a panel.
    pub(super) fn is_aggregate(&self, key: &Key) -> bool {
        self.groups(key).iter().any(|said| said.group.is_aggregate())
    }

    /// What a source said, run by run.
    pub(super) fn groups(&self, key: &Key) -> Vec<Said<'_>> {
        let runs = self.runs.iter().enumerate();
        runs.filter_map(|(run, of)| said(run, &of.read.results, key)).collect()
    }

    /// A source's verdicts on the anchors, run by run.
    pub(super) fn on_anchors(&self, key: &Key) -> Vec<Said<'_>> {
        let runs = self.runs.iter().enumerate();
        runs.filter_map(|(run, of)| said(run, &of.anchors.as_ref()?.results, key)).collect()
    }
}

impl Run {
    fn last_run(&self) -> &str {
        self.read.results.groups.iter().map(|group| group.last_run.as_str()).max().unwrap_or_default()
    }
}

/// A source's verdicts in one run, by its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub run: usize,
    pub results: &'a Results,
    pub group: &'a Group,
}

/// What a source said.
pub(super) fn said<'a>(run: usize, results: &'a Results, key: &Key) -> Option<Said<'a>> {
    let group = results.groups.iter().find(|group| Key::of(group) == *key)?;
    Some(Said { run, results, group })
}

/// A source, and the name of its feedback.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub name: String,
    source_type: SourceType,
    pub source_id: String,
}

impl Key {
    fn of(group: &Group) -> Self {
        Self { name: group.name.clone(), source_type: group.source_type, source_id: group.source_id.clone() }
    }
}

/// Which sources are compared: the same source under the same name; for judges, whose model may have changed, also the only remaining one of
/// a name on either side.
pub(super) fn matched(base: &Side, new: &Side) -> Vec<(Key, Key)> {
    let (of_base, of_new) = (base.sources(), new.sources());
    let left = |keys: &[Key], others: &[Key], name: &str| {
        let is_left = |key: &&Key| key.name == name && key.source_type == SourceType::LlmJudge && !others.contains(key);
        let left: Vec<_> = keys.iter().filter(is_left).cloned().collect();
        if let [only] = left.as_slice() { Some(only.clone()) } else { None }
    };
    let pair = |key: &Key| {
        if of_base.contains(key) {
            return Some((key.clone(), key.clone()));
        }
        let now = left(&of_new, &of_base, &key.name).filter(|only| only == key)?;
        Some((left(&of_base, &of_new, &key.name)?, now))
    };
    of_new.iter().filter_map(pair).collect()
}

/// Whether both sides have the same versions of the judge, by what both of them know.
pub(super) fn is_same_version(base: &[Said<'_>], new: &[Said<'_>]) -> bool {
    let all = |said: &[Said<'_>], of: fn(&Group) -> &std::collections::BTreeSet<String>| {
        said.iter().flat_map(|said| of(said.group)).cloned().collect::<std::collections::BTreeSet<_>>()
    };
    let digests = [base, new].map(|said| all(said, |group| &group.digests));
    if digests.iter().all(|digests| !digests.is_empty()) {
        return digests[0] == digests[1];
    }
    let prompts = [base, new].map(|said| all(said, |group| &group.prompts));
    prompts.iter().any(std::collections::BTreeSet::is_empty) || prompts[0] == prompts[1]
}
