//! Who gets the next slot, what is leased, and how jobs end.

use super::*;

fn lease(priority: i32, asked: i32) -> Lease {
    Lease {
        job_id: Uuid::new_v4(),
        token: Uuid::new_v4(),
        job_type: "any".into(),
        priority,
        asked,
        stored: 0,
        attempt: 1,
        max_attempts: 3,
    }
}

fn add(book: &mut Book, priority: i32, asked: i32) -> Uuid {
    let lease = lease(priority, asked);
    let token = lease.token;
    book.add(lease, false);
    token
}

fn next(book: &mut Book) -> Option<Uuid> {
    book.begin_item(|_| true).map(|held| held.lease.token)
}

#[test]
fn an_urgent_job_that_comes_later_gets_the_next_slot() {
    let mut book = Book::default();
    let long = add(&mut book, 5, 200);
    assert_eq!(next(&mut book), Some(long));
    let urgent = add(&mut book, 1, 1);
    assert_eq!(next(&mut book), Some(urgent));
    assert_eq!(next(&mut book), Some(long), "the urgent job has only one item");
}

#[test]
fn among_equals_the_oldest_is_first_and_slots_go_on_to_the_next_job() {
    let mut book = Book::default();
    let (first, second) = (add(&mut book, 5, 2), add(&mut book, 5, 2));
    let given: Vec<_> = std::iter::from_fn(|| next(&mut book)).collect();
    assert_eq!(given, [first, first, second, second]);
    assert_eq!(book.jobs.iter().map(Held::unbegun).sum::<usize>(), 0);
}

#[test]
fn stored_items_are_not_begun_again() {
    let mut book = Book::default();
    let mut half_done = lease(5, 3);
    half_done.stored = 2;
    let id = half_done.token;
    book.add(half_done, false);
    assert_eq!(next(&mut book), Some(id));
    assert_eq!(next(&mut book), None);
}

#[test]
fn doomed_closing_and_exhausted_jobs_get_no_slot() {
    let mut book = Book::default();
    let (closing, exhausted, doomed) = (add(&mut book, 1, 5), add(&mut book, 1, 5), add(&mut book, 1, 5));
    book.get_mut(closing).unwrap().closing = true;
    book.get_mut(exhausted).unwrap().exhausted = true;
    book.get_mut(doomed).unwrap().fate = Some(Close::Release {
        reason: "no model".into(),
        delay: 1,
    });
    assert_eq!(next(&mut book), None);
}

#[test]
fn a_job_ends_once_and_only_when_nothing_works_on_it() {
    let mut book = Book::default();
    let id = add(&mut book, 5, 2);
    next(&mut book);
    let release = Close::Release {
        reason: "no model".into(),
        delay: 1,
    };
    book.doom(&release);
    assert_eq!(book.ripe(), []);
    book.get_mut(id).unwrap().running = 0;
    let ends: Vec<_> = book.ripe().into_iter().map(|(_, close)| close).collect();
    assert_eq!(ends, [release]);
    assert_eq!(book.ripe(), []);
}

#[test]
fn what_is_all_stored_is_completed_whatever_was_in_store_for_it() {
    let mut book = Book::default();
    let id = add(&mut book, 5, 2);
    book.doom(&Close::Fail {
        reason: "no luck".into(),
        permanent: false,
    });
    book.get_mut(id).unwrap().stored = 2;
    assert_eq!(book.ripe()[0].1, Close::Complete);
}

#[test]
fn a_job_that_is_never_complete_fails_in_the_end() {
    let mut book = Book::default();
    let id = add(&mut book, 5, 1);
    for _ in 0..INCOMPLETE_AT_MOST {
        let held = book.get_mut(id).unwrap();
        held.exhausted = true;
        assert_eq!(book.ripe()[0].1, Close::Complete);
        book.get_mut(id).unwrap().reopen("0 of 1 items are stored".into());
    }
    assert!(matches!(book.ripe()[0].1, Close::Fail { .. }));
}

#[test]
fn idle_slots_take_anything_and_a_full_book_only_what_is_more_urgent() {
    let mut book = Book::default();
    assert_eq!(book.room(4, 4), Some((4, 10)));
    add(&mut book, 5, 200);
    let _ = std::array::from_fn::<_, 4, _>(|_| next(&mut book));
    assert_eq!(
        book.room(0, 4),
        Some((1, 4)),
        "196 items are left: only what is more urgent"
    );
    add(&mut book, 3, 1);
    assert_eq!(
        book.room(0, 4),
        Some((1, 2)),
        "what waits already is as urgent as 3"
    );
    add(&mut book, 1, 1);
    assert_eq!(book.room(0, 4), None);
}

#[test]
fn one_job_is_fetched_before_the_slots_are_idle() {
    let mut book = Book::default();
    add(&mut book, 5, 4);
    let _ = std::array::from_fn::<_, 4, _>(|_| next(&mut book));
    assert_eq!(book.room(0, 4), Some((1, 10)));
    add(&mut book, 5, 1);
    assert_eq!(book.room(0, 4), Some((1, 4)));
}

#[test]
fn the_same_job_under_another_token_is_another_lease() {
    let mut book = Book::default();
    let old = lease(5, 2);
    let new = Lease {
        token: Uuid::new_v4(),
        ..old.clone()
    };
    let (job, before, after) = (old.job_id, old.token, new.token);
    book.add(old, false);
    assert_eq!(next(&mut book), Some(before));
    assert_eq!(book.remove(before).map(|held| held.running), Some(1));
    book.add(new, false);
    assert_eq!(book.of_job(job).map(|held| held.lease.token), Some(after));
    assert!(
        book.get_mut(before).is_none(),
        "what the old one began ends nowhere"
    );
    assert_eq!(book.get_mut(after).map(|held| held.running), Some(0));
}

#[test]
fn without_the_model_only_the_fallbacks_jobs_go_on() {
    let mut book = Book::default();
    add(&mut book, 1, 5);
    let own = lease(9, 1);
    let id = own.token;
    book.add(own, true);
    assert_eq!(
        book.begin_item(|held| held.fallback).map(|held| held.lease.token),
        Some(id)
    );
    assert!(book.begin_item(|held| held.fallback).is_none());
}
