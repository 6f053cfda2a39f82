//! The threads that read the dataset, and what they pass to the dispatcher.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::plan::{Known, Makes, Planner};
use super::walk::{Planned, Walk};
use crate::dataset::DatasetReader;
use crate::run::lanes::lane::Lane;
use crate::run::setup::questions::{LaneIndex, QuestionIndex, Questions};
use crate::run::setup::selection::Selection;
use crate::run::setup::settings::Scope;
use crate::run::until::{WaveWalk, Waves};

/// Groups of lines by which a reader may be ahead of the dispatcher.
const READ_AHEAD: usize = 64;
/// How many lines without questions are handed over together: waking a thread costs more than such a line.
const HANDED_OVER: usize = 64;
/// Kibibytes of prompts by which a reader may be ahead; a single line always may.
const READ_AHEAD_KIB: u32 = 16 << 10;

/// The result of a line of the dataset, and the room that it takes.
pub(in crate::run) struct Arrived {
    pub planned: Planned,
    pub room: OwnedSemaphorePermit,
}

/// Reads the whole dataset into the channel; ends early when the receiver is gone.
async fn read(
    planner: &Planner,
    dataset: DatasetReader,
    selection: Arc<Selection>,
    waves: Option<WaveWalk>,
    sender: &mpsc::Sender<Vec<Arrived>>,
) {
    let mut lines = Vec::new();
    let room = Arc::new(Semaphore::new(READ_AHEAD_KIB as usize));
    for planned in Walk::new(planner, dataset, selection, waves) {
        let kib = u32::try_from(planned.bytes() >> 10).unwrap_or(u32::MAX).min(READ_AHEAD_KIB);
        let Ok(room) = Arc::clone(&room).acquire_many_owned(kib).await else { return };
        let is_counted_only = planned.is_counted_only();
        lines.push(Arrived { planned, room });
        if is_counted_only && lines.len() < HANDED_OVER {
            continue;
        }
        if sender.send(std::mem::take(&mut lines)).await.is_err() {
            return;
        }
    }
}

/// The threads that read the dataset: one for each lane, so that a slow endpoint never holds back another's judgments; one for all
/// lanes where the dataset can be read only once.
pub(in crate::run) struct Readers {
    readers: Vec<Reader>,
}

struct Reader {
    receiver: Option<mpsc::Receiver<Vec<Arrived>>>,
    /// Groups of lines as they are received; empty in between.
    received: Vec<Vec<Arrived>>,
    /// What was received together with the previous line.
    arrived: VecDeque<Arrived>,
    /// The lane that it is for; `None` means all.
    lane: Option<LaneIndex>,
    /// Lets it begin the next wave; gone once there is none.
    proceed: Option<std::sync::mpsc::Sender<()>>,
}

impl Readers {
    /// Starts a reader for each of the datasets, which are the same one opened once for each lane, or once.
    pub(in crate::run) fn start(
        datasets: Vec<DatasetReader>,
        questions: &Questions,
        scope: &Scope,
        known: Known,
        selection: Selection,
        waves: Option<&Waves>,
        makes: &Makes,
    ) -> io::Result<Self> {
        let (known, selection) = (Arc::new(known), Arc::new(selection));
        let shared = datasets.len() == 1;
        let mut readers = Vec::new();
        for (place, dataset) in datasets.into_iter().enumerate() {
            let lane = LaneIndex::new(place);
            let is_asked = |question: QuestionIndex| shared || questions.lane(question) == lane;
            let planner =
                Planner::new(questions.clone(), Arc::clone(&known), scope, is_asked).of_subjects(makes.clone());
            let selection = Arc::clone(&selection);
            let (sender, receiver) = mpsc::channel(READ_AHEAD);
            let (proceed, waits) = std::sync::mpsc::channel();
            let waves = waves.map(|waves| WaveWalk::new(waves.clone(), waits));
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            std::thread::Builder::new()
                .name(format!("dataset-{place}"))
                .spawn(move || runtime.block_on(read(&planner, dataset, selection, waves, &sender)))?;
            readers.push(Reader {
                receiver: Some(receiver),
                received: Vec::with_capacity(READ_AHEAD),
                arrived: VecDeque::new(),
                lane: (!shared).then_some(lane),
                proceed: Some(proceed),
            });
        }
        Ok(Self { readers })
    }

    /// Whether everything was read.
    pub(in crate::run) fn are_done(&self) -> bool {
        self.readers.iter().all(|reader| reader.receiver.is_none() && reader.arrived.is_empty())
    }

    /// How many still read.
    pub(in crate::run) fn open(&self) -> usize {
        self.readers.iter().filter(|reader| reader.receiver.is_some()).count()
    }

    /// Lets all begin the next wave.
    pub(in crate::run) fn next_wave(&mut self) {
        for proceed in self.readers.iter().filter_map(|reader| reader.proceed.as_ref()) {
            // One that has ended needs none.
            let _ = proceed.send(());
        }
    }

    /// This was the last wave.
    pub(in crate::run) fn end_waves(&mut self) {
        self.readers.iter_mut().for_each(|reader| reader.proceed = None);
    }

    /// Stops reading. The threads end with their current line.
    pub(in crate::run) fn close(&mut self) {
        for reader in &mut self.readers {
            (reader.receiver, reader.proceed) = (None, None);
            reader.arrived.clear();
        }
    }

    /// The next line, of the first reader that has one for a lane that wants more. The first part is whether that is the first of all readers,
    /// which alone reports lines and traces; the second is `None` when a reader has reached the end.
    pub(in crate::run) async fn next(&mut self, lanes: &[Lane]) -> (bool, Option<Arrived>) {
        let wants_more = |reader: &Reader| match reader.lane {
            Some(lane) => lanes.get(lane.place()).is_some_and(Lane::wants_more),
            None => lanes.iter().all(Lane::wants_more),
        };
        poll_fn(|context| {
            for (i, reader) in self.readers.iter_mut().enumerate() {
                if !wants_more(reader) {
                    continue;
                }
                if let Some(line) = reader.arrived.pop_front() {
                    return Poll::Ready((i == 0, Some(line)));
                }
                let Some(receiver) = &mut reader.receiver else { continue };
                // Everything available, so that a thread that waits for room is woken once for all of it.
                if let Poll::Ready(groups) = receiver.poll_recv_many(context, &mut reader.received, READ_AHEAD) {
                    if groups == 0 {
                        reader.receiver = None;
                    }
                    reader.arrived.extend(reader.received.drain(..).flatten());
                    return Poll::Ready((i == 0, reader.arrived.pop_front()));
                }
            }
            Poll::Pending
        })
        .await
    }
}
