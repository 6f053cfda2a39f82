//! How well raters agree: a judge with people, and people with each other.

use std::collections::BTreeMap;

use judge_run_statistics::aggregate::majority;
use judge_run_statistics::agreement::{self, Closeness, Coefficient, Confusion, Votes, Weights};

use super::ratings::{Item, Ratings, Said};

pub use super::agreement_figures::{
    Agreement, Alpha, AltAnnotator, AltTest, Ceiling, ConfusionTable, Disagreement, Ends, Estimate, Pair, RaterCount,
    Warning,
};
pub use judge_run_statistics::agreement::Metric;

/// More distinct values than this are not categories: then only alpha is given.
const MAX_CATEGORIES: usize = 20;
/// Numbers with more distinct values are rounded to this many levels of their range.
const MAX_LEVELS: usize = 101;
/// With more people than this, pairs of people are not compared.
const MAX_PEOPLE: usize = 50;
/// Kappa below and agreement above these contradict each other.
const PARADOX: (f64, f64) = (0.4, 0.8);

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The judge, as an index of the raters, that the others are compared with.
    pub judge: Option<usize>,
    /// The people, or other raters.
    pub people: Vec<usize>,
    /// The metric of the distance between values; `None` for the default.
    pub metric: Option<Metric>,
    /// Of the intervals.
    pub level: f64,
    /// How much more a person costs than the judge, as in the alt-test.
    pub epsilon: f64,
    /// How many disagreements are listed.
    pub listed: usize,
}

/// How well raters agree.
///
/// # Errors
/// When no two rated the same items, or all ratings are the same.
pub fn agreement(ratings: &Ratings, settings: &Settings) -> Result<Agreement, judge_run_statistics::Error> {
    Study::of(ratings, settings).agreement()
}

/// The ratings that count, by category.
struct Study<'a> {
    ratings: &'a Ratings,
    settings: &'a Settings,
    raters: Vec<usize>,
    categories: Vec<Said>,
    /// The values of the categories, if they are numbers.
    values: Option<Vec<f64>>,
    metric: Metric,
    /// The lowest value and the distance of levels, where numbers are rounded.
    levels: Option<(f64, f64)>,
}

/// What two sides say of an item.
struct Sides<'a> {
    item: &'a Item,
    row: usize,
    column: usize,
    share: f64,
}

impl<'a> Study<'a> {
    fn of(ratings: &'a Ratings, settings: &'a Settings) -> Self {
        let raters: Vec<usize> = settings.judge.into_iter().chain(settings.people.iter().copied()).collect();
        let categories = ratings.categories(&raters);
        let is_number = |said: &Said| matches!(said, Said::Number(_));
        let values: Option<Vec<f64>> =
            categories.iter().map(|said| said.number().filter(|_| is_number(said))).collect::<Option<_>>();
        let are_whole = values.as_ref().is_some_and(|values| values.iter().all(|value| value.fract() == 0.0));
        // Whole numbers may be codes: they are a scale where a judge says so.
        let fitting = match (&values, are_whole) {
            (None, _) => Metric::Nominal,
            (Some(_), false) => Metric::Interval,
            (Some(_), true) if ratings.is_scale => Metric::Ordinal,
            (Some(_), true) => Metric::Nominal,
        };
        let metric = settings.metric.filter(|_| values.is_some()).unwrap_or(fitting);
        let mut study = Self { ratings, settings, raters, categories, values, metric, levels: None };
        study.round();
        study
    }

    /// Rounds numbers if there are too many distinct ones to count.
    #[expect(clippy::cast_precision_loss, reason = "few")]
    fn round(&mut self) {
        let Some(values) = self.values.as_ref().filter(|values| values.len() > MAX_LEVELS) else { return };
        let (Some(low), Some(high)) = (values.first(), values.last()) else { return };
        let (low, step) = (*low, (high - low) / (MAX_LEVELS - 1) as f64);
        let levels: Vec<f64> = (0..MAX_LEVELS).map(|level| low + step * level as f64).collect();
        self.categories = levels.iter().map(|level| Said::Number(*level)).collect();
        self.values = Some(levels);
        self.levels = Some((low, step));
    }

    fn place(&self, said: &Said) -> Option<usize> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between the levels")]
        match self.levels {
            Some((low, step)) => Some((((said.number()? - low) / step).round() as usize).min(MAX_LEVELS - 1)),
            None => self.categories.iter().position(|category| category == said),
        }
    }

    fn are_categories(&self) -> bool {
        self.categories.len() <= MAX_CATEGORIES
    }

    fn is_scale(&self) -> bool {
        self.metric != Metric::Nominal
    }

    fn votes(&self, raters: &[usize]) -> Votes {
        let mut votes = Votes::new(self.categories.len());
        let are_meant = self.ratings.are_meant(raters);
        for item in &self.ratings.items {
            votes.add(item.said_by(&are_meant).filter_map(|(_, said)| self.place(said)));
        }
        votes
    }

    fn alpha(&self, votes: &Votes, metric: Metric) -> Result<Alpha, judge_run_statistics::Error> {
        let numbers: Vec<f64>;
        let values = match &self.values {
            Some(values) => values,
            None => {
                #[expect(clippy::cast_precision_loss, reason = "few")]
                let places = (0..self.categories.len()).map(|place| place as f64).collect();
                numbers = places;
                &numbers
            }
        };
        let found = votes.krippendorff(metric, values, self.settings.level)?;
        Ok(Alpha { estimate: estimate(&found), metric: metric_name(metric) })
    }

    /// The items rated by both sides: the judge and most people, or two raters.
    fn sides(&self) -> (Vec<Sides<'a>>, u64, [String; 2]) {
        let Settings { judge, people, .. } = self.settings;
        let (rows, column): (&[usize], usize) = match (judge, people.as_slice()) {
            (Some(judge), people) => (people, *judge),
            (None, [first, second]) => (std::slice::from_ref(first), *second),
            (None, _) => return (Vec::new(), 0, [String::new(), String::new()]),
        };
        let are_rows = self.ratings.are_meant(rows);
        let mut ties = 0;
        let mut sides = Vec::new();
        for item in &self.ratings.items {
            let Some(column) = item.said(column).and_then(|said| self.place(said)) else { continue };
            let mut counts = vec![0_u64; self.categories.len()];
            let said = item.said_by(&are_rows).filter_map(|(_, said)| self.place(said));
            said.for_each(|place| counts[place] += 1);
            let all: u64 = counts.iter().sum();
            match majority(&counts) {
                #[expect(clippy::cast_precision_loss, reason = "few")]
                Some(row) => sides.push(Sides { item, row, column, share: counts[row] as f64 / all as f64 }),
                None => ties += u64::from(all > 0),
            }
        }
        let name_of = |rater: usize| self.ratings.raters[rater].source_id.clone();
        let row_name = if let [only] = rows { name_of(*only) } else { "people".to_owned() };
        (sides, ties, [row_name, name_of(column)])
    }

    fn pair(&self, a: usize, b: usize) -> Option<Pair> {
        let mut confusion = Confusion::new(self.categories.len());
        for item in &self.ratings.items {
            if let (Some(a), Some(b)) = (item.said(a), item.said(b)) {
                confusion.add(self.place(a)?, self.place(b)?);
            }
        }
        let (agreement, _) = confusion.accuracy(self.settings.level).ok().filter(|_| confusion.items() > 0)?;
        let kappa = confusion.cohen(Weights::Identity, self.settings.level).ok().filter(|_| self.are_categories());
        let name = |rater: usize| self.ratings.raters[rater].source_id.clone();
        Some(Pair { a: name(a), b: name(b), n: confusion.items(), agreement, kappa: kappa.as_ref().map(estimate) })
    }

    fn ceiling(&self) -> Option<Ceiling> {
        let people = &self.settings.people;
        if people.len() < 2 || self.settings.judge.is_none() {
            return None;
        }
        let votes = self.votes(people);
        let level = self.settings.level;
        let pairs = (0..people.len()).flat_map(|i| (i + 1..people.len()).map(move |j| (i, j)));
        Some(Ceiling {
            n_items: self.items_with_two(people),
            n_raters: people.len() as u64,
            fleiss: votes
                .fleiss(Weights::Identity, level)
                .ok()
                .filter(|_| self.are_categories())
                .map(|found| found.estimate),
            alpha: self.alpha(&votes, self.metric).ok(),
            ac1: votes.gwet(Weights::Identity, level).ok().filter(|_| self.are_categories()).as_ref().map(estimate),
            pairs: pairs.filter(|_| self.are_few()).filter_map(|(i, j)| self.pair(people[i], people[j])).collect(),
        })
    }

    /// Whether pairs can be compared.
    fn are_few(&self) -> bool {
        self.settings.people.len() <= MAX_PEOPLE
    }

    fn items_with_two(&self, raters: &[usize]) -> u64 {
        let are_meant = self.ratings.are_meant(raters);
        let has_two = |item: &&Item| item.said_by(&are_meant).count() >= 2;
        self.ratings.items.iter().filter(has_two).count() as u64
    }

    fn alt_test(&self) -> Option<AltTest> {
        let Settings { judge, people, epsilon, .. } = self.settings;
        if !self.are_few() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "few")]
        let number = |said: &Said| match (&self.values, self.place(said)) {
            (Some(values), Some(place)) => values.get(place).copied(),
            (None, Some(place)) => Some(place as f64),
            _ => None,
        };
        let column = |rater: usize| -> Vec<Option<f64>> {
            self.ratings.items.iter().map(|item| item.said(rater).and_then(number)).collect()
        };
        let closeness = if self.is_scale() { Closeness::Distance } else { Closeness::Same };
        let columns: Vec<_> = people.iter().map(|person| column(*person)).collect();
        let found = agreement::alt_test(&column((*judge)?), &columns, closeness, *epsilon, 0.05).ok()?;
        let annotators = people.iter().zip(&found.annotators).map(|(person, annotator)| AltAnnotator {
            source_id: self.ratings.raters[*person].source_id.clone(),
            n: annotator.items as u64,
            advantage: annotator.advantage,
            p_value: annotator.p_value,
            matched: annotator.is_matched,
        });
        Some(AltTest {
            epsilon: *epsilon,
            winning_rate: found.winning_rate,
            average_advantage: found.average_advantage,
            passed: found.passed,
            annotators: annotators.collect(),
        })
    }

    fn agreement(&self) -> Result<Agreement, judge_run_statistics::Error> {
        let level = self.settings.level;
        let votes = self.votes(&self.raters);
        let (sides, n_ties, [rows, columns]) = self.sides();
        let mut confusion = Confusion::new(self.categories.len());
        sides.iter().for_each(|sides| confusion.add(sides.row, sides.column));
        let has_sides = confusion.items() > 0 && self.are_categories();
        let of_sides = |weights| confusion.cohen(weights, level).ok().filter(|_| has_sides).as_ref().map(estimate);
        let accuracy = confusion.accuracy(level)?;
        let accuracy = Some(accuracy).filter(|_| has_sides);
        let categorical = |found: Result<Coefficient, _>| found.ok().filter(|_| self.are_categories());
        // Where chance explains everything there is agreement but no alpha; without overlapping raters there is neither.
        let alpha = match self.alpha(&votes, self.metric) {
            Ok(alpha) => Some(alpha),
            Err(judge_run_statistics::Error::Constant { .. }) => None,
            Err(error) => return Err(error),
        };
        let fleiss = categorical(votes.fleiss(Weights::Identity, level));
        let ac1 = categorical(votes.gwet(Weights::Identity, level));
        let on_scale = |found: Option<Estimate>| found.filter(|_| self.is_scale());
        let kappa = of_sides(Weights::Identity);
        let mut found = Agreement {
            name: self.ratings.name.clone(),
            n_items: self.items_with_two(&self.raters),
            n_raters: self.raters.len() as u64,
            raters: self.counts(),
            judge: self.settings.judge.map(|judge| self.ratings.raters[judge].source_id.clone()),
            accuracy: accuracy.map(|(share, _)| share),
            accuracy_interval: accuracy.map(|(_, interval)| Ends { low: interval.lower, high: interval.upper }),
            kappa,
            weighted_kappa: on_scale(of_sides(Weights::Quadratic)),
            fleiss: fleiss.map(|found| found.estimate),
            fleiss_interval: fleiss.map(|found| Ends { low: found.interval.lower, high: found.interval.upper }),
            alpha,
            alphas: match &self.values {
                None => Vec::new(),
                Some(_) => [Metric::Nominal, Metric::Ordinal, Metric::Interval]
                    .iter()
                    .filter_map(|metric| self.alpha(&votes, *metric).ok())
                    .collect(),
            },
            ac1: ac1.as_ref().map(estimate),
            ac2: on_scale(categorical(votes.gwet(Weights::Quadratic, level)).as_ref().map(estimate)),
            confusion: self.table(&confusion, rows, columns),
            n_ties,
            people: self.ceiling(),
            judge_with: self
                .settings
                .judge
                .filter(|_| self.are_few())
                .into_iter()
                .flat_map(|judge| self.settings.people.iter().filter_map(move |person| self.pair(*person, judge)))
                .collect(),
            alt_test: self.alt_test(),
            warnings: Vec::new(),
            disagreements: self.disagreements(&sides),
        };
        found.warnings = self.warnings(&found, fleiss.as_ref());
        Ok(found)
    }

    fn counts(&self) -> Vec<RaterCount> {
        let mut counts = vec![0; self.ratings.raters.len()];
        for rating in self.ratings.items.iter().flat_map(|item| &item.ratings) {
            counts[rating.rater] += u64::from(rating.said != Said::Nothing);
        }
        let count = |rater: &usize| {
            let of = &self.ratings.raters[*rater];
            RaterCount { source_type: of.source_type.as_str(), source_id: of.source_id.clone(), n: counts[*rater] }
        };
        self.raters.iter().map(count).collect()
    }

    /// The table of two sides; of more raters the pairs of their ratings, each in both orders.
    fn table(&self, confusion: &Confusion, rows: String, columns: String) -> ConfusionTable {
        if !self.are_categories() {
            return ConfusionTable::default();
        }
        let labels = self.categories.iter().filter_map(Said::text).collect();
        if confusion.items() > 0 {
            return ConfusionTable { rows, columns, labels, counts: confusion.rows().to_vec() };
        }
        let are_meant = self.ratings.are_meant(&self.raters);
        let mut pairs = Confusion::new(self.categories.len());
        for item in &self.ratings.items {
            let said: Vec<usize> = item.said_by(&are_meant).filter_map(|(_, said)| self.place(said)).collect();
            for (i, a) in said.iter().enumerate() {
                said.iter().enumerate().filter(|(j, _)| *j != i).for_each(|(_, b)| pairs.add(*a, *b));
            }
        }
        let (rows, columns) = ("one rater".to_owned(), "another".to_owned());
        ConfusionTable { rows, columns, labels, counts: pairs.rows().to_vec() }
    }

    fn disagreements(&self, sides: &[Sides<'_>]) -> Vec<Disagreement> {
        let column = self.settings.judge.or_else(|| self.settings.people.get(1).copied());
        let mut found: Vec<(f64, Disagreement)> = Vec::new();
        for Sides { item, row, column: said, share } in sides.iter().filter(|sides| sides.row != sides.column) {
            let rating = column.and_then(|column| item.by(column));
            let far = match &self.values {
                Some(values) => (values[*row] - values[*said]).abs(),
                None => 1.0,
            };
            let confidence = rating.and_then(|rating| rating.confidence);
            let disagreement = Disagreement {
                trace_id: item.trace_id.clone(),
                span_id: item.span_id.clone(),
                document_index: item.document_index,
                judge: self.categories[*said].json(),
                people: self.categories[*row].json(),
                share: *share,
                confidence,
                rationale: rating.and_then(|rating| rating.rationale.clone()),
            };
            found.push((far * share * confidence.unwrap_or(1.0), disagreement));
        }
        found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        found.into_iter().take(self.settings.listed).map(|(_, disagreement)| disagreement).collect()
    }

    fn warnings(&self, found: &Agreement, fleiss: Option<&Coefficient>) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let kappa = found.kappa.map(|kappa| kappa.estimate).or(found.fleiss);
        let observed = found.accuracy.or(fleiss.map(|found| found.agreement));
        if let (Some(kappa), Some(observed), Some(ac1)) = (kappa, observed, found.ac1)
            && kappa < PARADOX.0
            && observed > PARADOX.1
        {
            let all: f64 = found.confusion.counts.iter().flatten().map(|count| *count as f64).sum();
            let rows = found.confusion.counts.iter().enumerate().map(|(k, row)| {
                let column: u64 = found.confusion.counts.iter().map(|other| other[k]).sum();
                (row.iter().sum::<u64>() + column) as f64 / (2.0 * all)
            });
            let prevalence = rows.fold(0.0, f64::max);
            warnings.push(Warning {
                code: "kappa_paradox",
                message: format!(
                    "{:.1}% agree, but kappa is {kappa:.2}, because {:.1}% of the ratings have the same value; AC1 is {:.2}",
                    100.0 * observed,
                    100.0 * prevalence,
                    ac1.estimate
                ),
            });
        }
        let are_codes = self.values.is_some() && self.metric == Metric::Nominal && self.settings.metric.is_none();
        if are_codes && self.categories.len() > 2 {
            warnings.push(Warning {
                code: "whole_numbers_as_labels",
                message: "no record says that these whole numbers are a scale, so they are compared as labels"
                    .to_owned(),
            });
        }
        if found.n_items < 30 {
            warnings
                .push(Warning { code: "few_items", message: format!("only {} items have two ratings", found.n_items) });
        }
        if self.levels.is_some() {
            let message = "numbers are rounded to a hundredth of their range".to_owned();
            warnings.push(Warning { code: "rounded", message });
        }
        if !self.are_few() {
            let message = format!("with more than {MAX_PEOPLE} people, each is not compared with each");
            warnings.push(Warning { code: "many_people", message });
        }
        if found.alpha.is_none() {
            warnings.push(Warning {
                code: "one_value",
                message: "all ratings are the same, so agreement cannot be corrected for chance".to_owned(),
            });
        }
        if found.n_ties > 0 {
            let message =
                format!("people are evenly divided on {} items, which are not compared with the judge", found.n_ties);
            warnings.push(Warning { code: "ties", message });
        }
        warnings
    }
}

fn estimate(found: &Coefficient) -> Estimate {
    Estimate { estimate: found.estimate, low: found.interval.lower, high: found.interval.upper }
}

/// The name of a metric in JSON and on the command line.
pub const fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Nominal => "nominal",
        Metric::Ordinal => "ordinal",
        Metric::Interval => "interval",
        Metric::Ratio => "ratio",
    }
}

impl Agreement {
    /// The figures that gates may use, each with the ends of its interval.
    pub fn figures(&self) -> BTreeMap<&'static str, Estimate> {
        let with = |estimate: Option<f64>, ends: Option<Ends>| {
            let (estimate, Ends { low, high }) = (estimate?, ends?);
            Some(Estimate { estimate, low, high })
        };
        let figures = [
            ("accuracy", with(self.accuracy, self.accuracy_interval)),
            ("kappa", self.kappa),
            ("weighted_kappa", self.weighted_kappa),
            ("fleiss", with(self.fleiss, self.fleiss_interval)),
            ("alpha", self.alpha.map(|alpha| alpha.estimate)),
            ("ac1", self.ac1),
            ("ac2", self.ac2),
        ];
        figures.into_iter().filter_map(|(name, figure)| Some((name, figure?))).collect()
    }
}
