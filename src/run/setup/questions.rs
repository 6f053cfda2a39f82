//! The questions of a run, the lanes on which they are asked, and the indices of both.

use std::ops::Index;
use std::sync::Arc;

use crate::judge::Question;

/// A question of a run, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionIndex(usize);

/// A lane of a run (an endpoint and a model), by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneIndex(usize);

impl QuestionIndex {
    /// The question at this place, counted from 0.
    pub const fn new(place: usize) -> Self {
        Self(place)
    }

    /// The place, counted from 0.
    pub const fn place(self) -> usize {
        self.0
    }
}

impl LaneIndex {
    /// The lane at this place, counted from 0.
    pub const fn new(place: usize) -> Self {
        Self(place)
    }

    /// The place, counted from 0.
    pub const fn place(self) -> usize {
        self.0
    }
}

/// All questions of a run, each with its lane; cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::run) struct Questions {
    questions: Arc<[Question]>,
    lanes: Arc<[LaneIndex]>,
}

impl Questions {
    pub(in crate::run) fn new(questions: Vec<(Question, LaneIndex)>) -> Self {
        let (questions, lanes): (Vec<_>, Vec<_>) = questions.into_iter().unzip();
        Self { questions: questions.into(), lanes: lanes.into() }
    }

    /// All of them, in order.
    pub(in crate::run) fn iter(&self) -> impl Iterator<Item = (QuestionIndex, &Question)> {
        self.questions.iter().enumerate().map(|(place, question)| (QuestionIndex(place), question))
    }

    /// The lane that a question is asked on.
    pub(in crate::run) fn lane(&self, question: QuestionIndex) -> LaneIndex {
        self.lanes[question.0]
    }

    /// How many questions have their own requests on a lane.
    pub(in crate::run) fn on(&self, lane: LaneIndex) -> usize {
        let of_lane = || self.iter().filter(|(index, _)| self.lane(*index) == lane);
        let is_first = |index: QuestionIndex, question: &Question| {
            !of_lane().any(|(other, earlier)| other < index && earlier.is_asked_with(question))
        };
        of_lane().filter(|(index, question)| is_first(*index, question)).count()
    }
}

impl Index<QuestionIndex> for Questions {
    type Output = Question;

    fn index(&self, question: QuestionIndex) -> &Question {
        &self.questions[question.0]
    }
}
