use super::*;

const USUAL: Model = None;
const POLL: Duration = Duration::from_secs(3600);

fn own() -> Model {
    Some("own".into())
}

fn up() -> (Models, Instant) {
    let now = Instant::now();
    let mut models = Models::new(now, None, POLL);
    models.questions(now, &Slots::new(9));
    models.get(now, &USUAL).answered(now, &Host::default());
    assert!(models.is_up(&USUAL) && models.is_up(&own()));
    (models, now)
}

fn busy() -> Trouble {
    Trouble::new(Cause::Busy, "503")
}

#[test]
fn a_model_that_is_busy_stops_itself_and_no_other() {
    let (mut models, now) = up();
    assert!(models.failed(now, &own(), &busy()).is_some());
    assert!(models.is_up(&USUAL) && !models.is_up(&own()));
    assert_eq!(
        models.failed(now, &own(), &busy()),
        None,
        "the same wave is no news"
    );
    let due = now + Duration::from_secs(2);
    let asked = Question {
        model: own(),
        text: true,
    };
    assert_eq!(
        models.questions(due, &Slots::new(9)),
        [asked],
        "what is in question is asked, and nothing else"
    );
    models.get(due, &own()).answered(due, &Host::default());
    assert!(models.is_up(&own()));
    assert!(models.failed(now, &USUAL, &busy()).is_some());
    assert!(!models.is_up(&USUAL) && models.is_up(&own()) && models.only_others_are_up());
}

#[test]
fn where_nobody_listens_no_model_is_up() {
    let (mut models, now) = up();
    models.get(now, &own());
    models.failed(now, &own(), &Trouble::new(Cause::Unreachable, "refused"));
    assert!(!models.is_up(&USUAL) && !models.is_up(&own()));
}

#[test]
fn a_model_that_no_job_wants_any_more_is_left_alone() {
    let (mut models, now) = up();
    models.failed(now, &own(), &busy());
    let later = |minutes: u64| now + Duration::from_secs(minutes * 60);
    let slots = Slots::new(9);
    assert!(
        models
            .questions(later(1), &slots)
            .iter()
            .any(|question| question.model == own())
    );
    models.probe_failed(later(1), &own(), &busy());
    assert!(
        models
            .questions(later(2), &slots)
            .iter()
            .all(|question| question.model == USUAL)
    );
    models.get(later(3), &own()).wait(later(3));
    assert!(
        models
            .questions(later(3), &slots)
            .iter()
            .any(|question| question.model == own())
    );
}

#[test]
fn a_host_of_which_nothing_was_heard_is_asked_for_a_sign_of_life() {
    let (mut models, now) = up();
    let slots = Slots::new(9);
    let almost = now + SIGN_OF_LIFE - Duration::from_secs(1);
    assert_eq!(models.questions(almost, &slots), []);
    let then = now + SIGN_OF_LIFE;
    let asked = Question {
        model: USUAL,
        text: false,
    };
    assert_eq!(models.questions(then, &slots), [asked]);
    assert_eq!(models.questions(then, &slots), [], "once");
    assert!(models.probe_failed(then, &USUAL, &Trouble::new(Cause::Unreachable, "refused")));
    assert!(!models.is_up(&USUAL));
}

#[test]
fn a_context_that_overflowed_is_taken_for_a_shared_one_from_then_on() {
    let (mut models, now) = up();
    let host = Host {
        context: Some(4096),
        ..Host::default()
    };
    let known = models.get(now, &USUAL);
    known.answered(now, &host);
    assert_eq!(known.shared, None);
    known.overflowed(4);
    known.answered(now, &host);
    assert_eq!(known.shared, Some(4096));
}
