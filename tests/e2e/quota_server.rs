//! A quota that several processes share: what a process does with what the server says, and without it. A real server is in
//! `tests/real/quota_server.py`.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Fake, Place, answers};

/// Speaks as much of Redis's protocol as is needed, and answers every lease alike: microseconds until the first request, until the first
/// token, of a pause; and how many processes there are.
struct FakeRedis {
    port: u16,
    commands: Arc<Mutex<Vec<Vec<String>>>>,
}

impl FakeRedis {
    fn start(lease: [i64; 4]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let commands: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let seen = Arc::clone(&commands);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(&stream, lease, &seen));
            }
        });
        Self { port, commands }
    }

    fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The arguments of all commands of this name.
    fn seen(&self, name: &str) -> Vec<Vec<String>> {
        let commands = self.commands.lock().unwrap();
        commands.iter().filter(|command| command[0].eq_ignore_ascii_case(name)).cloned().collect()
    }
}

fn serve(stream: &TcpStream, lease: [i64; 4], seen: &Mutex<Vec<Vec<String>>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(head) = lines.next() {
        let n: usize = head.trim_start_matches('*').parse().unwrap();
        // A text may have several lines; its length counts both characters of each line's end.
        let command: Vec<String> = (0..n).map_while(|_| bulk(&mut lines)).collect();
        let answer = match command[0].to_ascii_uppercase().as_str() {
            "EVAL" => format!("*4\r\n{}", lease.map(|n| format!(":{n}\r\n")).concat()),
            _ => "+OK\r\n".to_owned(),
        };
        seen.lock().unwrap().push(command);
        let mut out = stream;
        if out.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn bulk(lines: &mut impl Iterator<Item = String>) -> Option<String> {
    let length: usize = lines.next()?.trim_start_matches('$').parse().unwrap();
    let mut text = lines.next()?;
    while text.len() < length {
        text = format!("{text}\n{}", lines.next()?);
    }
    Some(text)
}

#[test]
fn slots_come_from_the_server_and_a_login_from_the_environment() {
    let place = Place::with_traces(30);
    let fake = Fake::start(|_| answers::verdict(true));
    let redis = FakeRedis::start([0, 0, 0, 2]);
    let args = ["--rpm", "60000", "--tpm", "60000000", "--quota-server", &redis.address()];
    let run = place.judge(&fake.base_url(), &args).env("JUDGE_RUN_QUOTA_USER", "judge");
    let finished = run.env("JUDGE_RUN_QUOTA_PASSWORD", "s3cret-of-redis").run().exits_with(0);
    assert_eq!((fake.count(), finished.stderr.contains("quota server")), (30, false));
    assert_eq!(redis.seen("AUTH"), [["AUTH", "judge", "s3cret-of-redis"]]);
    // Both keys are in one slot of a cluster, and name what is shared; the processes differ.
    let leases = redis.seen("EVAL");
    let quota = &leases[0][3];
    assert!(quota.starts_with("judge-run:{") && quota.ends_with('}') && leases[0][4] == format!("{quota}:processes"));
    assert!(leases.len() < 30, "no request waits for a lease of its own: {}", leases.len());
    for name in place.names() {
        assert!(!place.read(&name).contains("s3cret-of-redis"), "{name}");
    }
}

#[test]
fn a_pause_of_other_processes_holds_here_too() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::verdict(true));
    let redis = FakeRedis::start([400_000, 0, 400_000, 2]);
    let started = Instant::now();
    place.judge(&fake.base_url(), &["--rpm", "6000", "--quota-server", &redis.address()]).run().exits_with(0);
    let first = fake.seen()[0].arrived - started;
    assert!(first >= Duration::from_millis(400), "the first request came after {first:?}");
}

#[test]
fn a_refusal_for_the_rate_is_told_to_the_others() {
    let place = Place::with_traces(3);
    let headers = [("retry-after-ms", "300")];
    let fake = Fake::start(move |request| match request.number {
        0 => answers::error_with(429, &headers, "rate_limit_exceeded", "Rate limit reached"),
        _ => answers::verdict(true),
    });
    let redis = FakeRedis::start([0, 0, 0, 2]);
    place.judge(&fake.base_url(), &["--rpm", "6000", "--quota-server", &redis.address()]).run().exits_with(0);
    let told: Vec<u64> = redis.seen("EVAL").iter().map(|lease| lease[6].parse().unwrap()).collect();
    assert!(told.iter().any(|pause| (1..=300_000).contains(pause)), "{told:?}");
}

#[test]
fn without_its_server_a_process_keeps_to_its_share_and_says_so_once() {
    let place = Place::with_traces(6);
    let fake = Fake::start(|_| answers::verdict(true));
    let started = Instant::now();
    let args = ["--rpm", "600", "--quota-server", "redis://127.0.0.1:9", "--quota-share", "50%"];
    let finished = place.judge(&fake.base_url(), &args).run().exits_with(0);
    assert_eq!(finished.stderr.matches("is unreachable").count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("50.0 % of the quota"), "{}", finished.stderr);
    // Half of ten a second, from the first one on.
    for (i, request) in fake.seen().iter().enumerate() {
        let earliest = Duration::from_millis(200) * u32::try_from(i + 1).unwrap();
        let arrived = request.arrived - started;
        assert!(arrived >= earliest, "request {i} came after {arrived:?}, and not after {earliest:?}");
    }
    // The server is kept in the plan, and asked for again.
    assert!(place.read("traces.feedback.run.json").contains("redis://127.0.0.1:9"));
}

#[test]
fn a_quota_server_without_a_quota_or_with_a_password_in_its_address_is_refused() {
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| answers::verdict(true));
    let refused = |args: &[&str]| place.judge(&fake.base_url(), args).run().exits_with(2);
    refused(&["--quota-server", "redis://127.0.0.1:9"]).says(&["--rpm"]);
    let finished = refused(&["--rpm", "60", "--quota-server", "redis://:s3cret-of-redis@127.0.0.1:9"]);
    let finished = finished.says(&["JUDGE_RUN_QUOTA_PASSWORD"]);
    assert!(!finished.stderr.contains("s3cret-of-redis"), "{}", finished.stderr);
    refused(&["--rpm", "60", "--quota-server", "127.0.0.1:6379"]).says(&["redis://HOST:6379"]);
    refused(&["--rpm", "60", "--quota-server", "redis://127.0.0.1:9", "--quota-share", "0"]);
    assert_eq!(fake.count(), 0);
    // A simulator inside the process is not shared.
    place
        .run(["-d", "traces.jsonl", "-J", "safety", "--simulate", "--quota-server", "redis://127.0.0.1:9"])
        .exits_with(0);
}
