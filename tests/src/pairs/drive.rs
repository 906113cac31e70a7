//! Two connections whose steps are taken in a given order. A step that has to wait is left waiting, and the
//! other connection goes on, as two people at two terminals would do it.

use super::orders::Side;
use crate::{Database, Session};
use postgres::SimpleQueryMessage;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// A step that takes longer is taken as hanging.
pub const HANGING: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(2);

/// An error of the server, and where it says it comes from.
#[derive(Clone, Debug)]
pub struct Refused {
    pub code: String,
    pub words: String,
}

/// What a step gave: the first column of its rows, or an error.
pub type Answer = Result<Vec<String>, Refused>;

/// One connection, used by a thread of its own.
struct Seat {
    pid: i32,
    asks: Sender<String>,
    answers: Receiver<Answer>,
    /// Since when its present step is under way.
    since: Option<Instant>,
}

impl Seat {
    fn take(database: &Database) -> Seat {
        let mut session = database.session();
        // Longer than the bounds of 200 ms, as the server's 1 s is, and sooner.
        session.run("set deadlock_timeout = '400ms'");
        let pid = session.backend_pid();
        let (asks, asked) = channel::<String>();
        let (answer, answers) = channel();
        std::thread::spawn(move || {
            while let Ok(sql) = asked.recv() {
                if answer.send(ask(&mut session, &sql)).is_err() {
                    return;
                }
            }
        });
        Seat {
            pid,
            asks,
            answers,
            since: None,
        }
    }
}

fn ask(session: &mut Session, sql: &str) -> Answer {
    let messages = session.simple_query(sql).map_err(|error| Refused {
        code: error
            .code()
            .map_or("connection".into(), |code| code.code().to_owned()),
        words: crate::session::words(&error),
    })?;
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    };
    Ok(messages.iter().filter_map(row).collect())
}

/// Two connections, and a third that watches.
pub struct Table {
    seats: [Seat; 2],
    watch: Session,
    /// Holds what stops others.
    keeper: Session,
    /// How long a step may take.
    pub patience: Duration,
}

/// How an order went.
#[derive(Debug, Default)]
pub struct Course {
    /// The answers of A and of B, in the order of their steps.
    pub answers: [Vec<Answer>; 2],
    /// Steps that had to wait for the other connection.
    pub waits: usize,
    /// The longest time for which a step waited.
    pub longest: Duration,
    /// The step that did not end.
    pub hanging: Option<String>,
}

impl Table {
    pub fn new(database: &Database) -> Table {
        Table {
            seats: [Seat::take(database), Seat::take(database)],
            watch: database.session(),
            keeper: database.session(),
            patience: HANGING,
        }
    }

    /// The connection that looks on, for what comes before and after an order.
    pub fn watch(&mut self) -> &mut Session {
        &mut self.watch
    }

    /// Ends both connections, whatever they do.
    pub fn break_up(&mut self) {
        for seat in &self.seats {
            self.watch.rows("select pg_terminate_backend($1)", &[&seat.pid]);
        }
    }

    /// Takes the steps in this order. Who still waits when it is his turn takes the step as soon as he can.
    pub fn play(&mut self, steps: &[Vec<String>; 2], order: &[Side]) -> Course {
        let mut course = Course::default();
        let mut due = [0, 0];
        for side in order {
            due[*side as usize] += 1;
            self.go_on(steps, due, &mut course);
        }
        // What is left waits for somebody: for the server to end a circle.
        while course.hanging.is_none()
            && Side::BOTH
                .iter()
                .any(|side| self.seats[*side as usize].since.is_some())
        {
            self.go_on(steps, due, &mut course);
        }
        course
    }

    /// A begins while somebody holds what it needs on its way; B begins; then the way is free, and both commit.
    pub fn play_behind(&mut self, gate: &str, steps: &[Vec<String>; 2]) -> Course {
        let mut course = Course::default();
        self.keeper.run(&format!("begin; {gate}"));
        self.go_on(steps, [1, 0], &mut course);
        self.go_on(steps, [1, 1], &mut course);
        self.keeper.run("rollback");
        self.go_on(steps, [2, 1], &mut course);
        self.finish(steps, [2, 2], &mut course);
        course
    }

    /// Whether a step comes to wait for somebody who has done this.
    pub fn stops(&mut self, gate: &str, step: &str) -> bool {
        let mut course = Course::default();
        let steps = [vec![step.to_owned(), "rollback".to_owned()], Vec::new()];
        self.keeper.run(&format!("begin; {gate}"));
        self.go_on(&steps, [1, 0], &mut course);
        let stopped = self.seats[0].since.is_some();
        self.keeper.run("rollback");
        self.finish(&steps, [2, 0], &mut course);
        stopped
    }

    /// What is left waits for somebody: for the server to end a circle.
    fn finish(&mut self, steps: &[Vec<String>; 2], due: [usize; 2], course: &mut Course) {
        self.go_on(steps, due, course);
        while course.hanging.is_none() && self.seats.iter().any(|seat| seat.since.is_some()) {
            self.go_on(steps, due, course);
        }
    }

    /// As far as both come now.
    fn go_on(&mut self, steps: &[Vec<String>; 2], due: [usize; 2], course: &mut Course) {
        loop {
            let mut moved = false;
            for side in Side::BOTH {
                let number = side as usize;
                moved |= self.hear(side, course);
                let taken = course.answers[number].len();
                if self.seats[number].since.is_none() && taken < due[number] {
                    let seat = &mut self.seats[number];
                    seat.since = Some(Instant::now());
                    seat.asks
                        .send(steps[number][taken].clone())
                        .expect("the connection's thread");
                    moved = true;
                    if !self.hear(side, course) && course.hanging.is_none() {
                        course.waits += 1;
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Waits until the step of this side has ended (true) or waits for somebody.
    fn hear(&mut self, side: Side, course: &mut Course) -> bool {
        let seat = side as usize;
        let Some(since) = self.seats[seat].since else {
            return false;
        };
        loop {
            if let Ok(answer) = self.seats[seat].answers.recv_timeout(GLANCE) {
                self.seats[seat].since = None;
                course.longest = course.longest.max(since.elapsed());
                course.answers[seat].push(answer);
                return true;
            }
            if since.elapsed() > self.patience {
                course.hanging = Some(format!("{side:?}"));
                return false;
            }
            let blocked: bool = self
                .watch
                .value("select pg_blocking_pids($1) <> '{}'", &[&self.seats[seat].pid]);
            if blocked {
                return false;
            }
        }
    }
}
