use super::*;
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

const USUAL: Model = None;

fn open(open: usize) -> Bounds {
    Bounds {
        open,
        tokens: None,
        paused: false,
    }
}

/// So many of the usual model, and as many as anybody wants over all.
fn slots(usual: usize) -> Arc<Slots> {
    let slots = Slots::new(100);
    slots.set(&USUAL, open(usual));
    slots
}

fn wait_for(slots: &Arc<Slots>, model: Model, priority: i32, tokens: usize) -> JoinHandle<Slot> {
    tokio::spawn(slots.wish(model, priority).slot(tokens))
}

fn wait(slots: &Arc<Slots>, priority: i32) -> JoinHandle<Slot> {
    wait_for(slots, USUAL, priority, 0)
}

/// Lets everybody else come to rest: the clock of these tests stands until then.
async fn rest() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn the_most_urgent_is_first_and_then_the_oldest() {
    let slots = slots(1);
    let first = wait(&slots, 5);
    rest().await;
    let (old, young, urgent) = (wait(&slots, 5), wait(&slots, 5), wait(&slots, 1));
    rest().await;
    drop(first.await.unwrap());
    let urgent = urgent.await.unwrap();
    rest().await;
    assert!(!old.is_finished() && !young.is_finished());
    drop(urgent);
    let old = old.await.unwrap();
    assert!(!young.is_finished());
    assert_eq!((old.give_back().at_the_end, slots.free(&USUAL)), (1, 0));
    drop(young.await.unwrap());
    assert_eq!((slots.held(), slots.free(&USUAL)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_away_leaves_nothing_behind() {
    let slots = slots(1);
    let (held, gone) = (wait(&slots, 5), wait(&slots, 5));
    rest().await;
    gone.abort();
    let next = wait(&slots, 5);
    rest().await;
    held.abort();
    drop(held.await);
    drop(next.await.unwrap());
    assert_eq!((slots.held(), slots.free(&USUAL)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn fewer_are_handed_out_after_the_limit_shrank() {
    let slots = slots(2);
    let (one, two, three) = (wait(&slots, 5), wait(&slots, 5), wait(&slots, 5));
    rest().await;
    slots.set(&USUAL, open(1));
    drop(one.await.unwrap());
    rest().await;
    assert!(!three.is_finished());
    drop(two.await.unwrap());
    drop(three.await.unwrap());
    assert_eq!(slots.free(&USUAL), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wish_counts_until_its_answer_is_there() {
    let slots = slots(2);
    let wish = slots.wish(USUAL, 5);
    assert_eq!(slots.free(&USUAL), 1);
    let turn = wish.turn();
    let slot = wish.slot(0).await;
    assert_eq!((slots.free(&USUAL), slots.held()), (1, 1));
    drop(slot);
    slots.given_back().await;
    assert_eq!(slots.free(&USUAL), 2);
    let _again = Wish::again(&slots, USUAL, turn);
    assert_eq!(slots.free(&USUAL), 1);
}

#[tokio::test(start_paused = true)]
async fn a_model_without_slots_holds_up_nobody_who_wants_another_one() {
    let (slots, own) = (slots(1), Some("own".to_owned()));
    let usual = wait(&slots, 5).await.unwrap();
    let (waits, goes) = (wait(&slots, 1), wait_for(&slots, own.clone(), 9, 0));
    let goes = goes.await.unwrap();
    assert!(!waits.is_finished());
    assert_eq!((slots.held(), slots.held_of(&own), slots.free(&own)), (2, 1, 0));
    drop((usual, goes));
    drop(waits.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn over_all_models_no_more_are_handed_out_than_the_setting_says() {
    let slots = Slots::new(2);
    let models = ["a", "b", "c"].map(|name| Some(name.to_owned()));
    let held: Vec<_> = models
        .iter()
        .map(|model| wait_for(&slots, model.clone(), 5, 0))
        .collect();
    rest().await;
    assert_eq!((slots.held(), slots.free(&models[2])), (2, 0));
    for slot in held {
        drop(slot.await.unwrap());
    }
    assert_eq!(slots.free(&models[2]), 1);
}

#[tokio::test(start_paused = true)]
async fn what_shares_a_context_is_let_in_as_long_as_it_fits() {
    let slots = slots(4);
    slots.set(
        &USUAL,
        Bounds {
            tokens: Some(1000),
            ..open(4)
        },
    );
    let large = wait_for(&slots, USUAL, 5, 5000).await.unwrap();
    let (first, second, third) = (
        wait_for(&slots, USUAL, 5, 600),
        wait_for(&slots, USUAL, 5, 600),
        wait(&slots, 5),
    );
    rest().await;
    assert!(
        !first.is_finished(),
        "one that is too large alone is let through, and nobody beside it"
    );
    drop(large);
    let first = first.await.unwrap();
    rest().await;
    assert!(
        !second.is_finished() && !third.is_finished(),
        "and nobody passes the one who waits"
    );
    drop(first);
    drop((second.await.unwrap(), third.await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_slot_knows_how_many_there_were_beside_it_at_any_time() {
    let slots = slots(3);
    let first = wait(&slots, 5).await.unwrap();
    drop((wait(&slots, 5).await.unwrap(), wait(&slots, 5).await.unwrap()));
    let company = first.give_back();
    assert_eq!((company.at_the_end, company.peak), (1, 3));
    assert_eq!(wait(&slots, 5).await.unwrap().give_back().peak, 1);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_names_the_usual_model_means_the_usual_one() {
    let slots = slots(1);
    slots.name_usual(Some("llama".into()));
    assert_eq!(slots.model(Some("llama")), USUAL);
    assert_eq!(
        (slots.model(Some("other")), slots.model(None)),
        (Some("other".into()), USUAL)
    );
    let wish = slots.wish(USUAL, 5).of(&Some("other".into()));
    assert_eq!((slots.free(&USUAL), slots.free(&Some("other".into()))), (1, 0));
    drop(wish);
}
