//! What people and tools read of the ledger: the records of a minute, what a window has, and where a value comes from.

use std::collections::{BTreeMap, BTreeSet};

use usage_aggregator::fold::{Notice, Pages, Shown};
use usage_aggregator::ledger::{PageKind, PageRef, WindowKey};
use usage_aggregator::usage::CounterKey;
use usage_aggregator::window::Zone;

use crate::place::{Place, groups, id, lowered, minute_of, text};

const HOUR: &str = "2026-11-28T08";
const MONTH: &str = "2026-11";

fn key(entity: &str) -> CounterKey {
    CounterKey(vec![entity.to_owned(), "orders".to_owned()])
}

fn window(text: &str) -> WindowKey {
    WindowKey::parse(text, Zone::UTC).unwrap()
}

/// Records 1, 2 and 3 of a minute, 2 and 3 in a second page as well, and 1 taken back. Record 5 is in a page that isn't folded, which
/// is returned.
async fn minute() -> (Place, Notice) {
    let place = Place::new();
    let records = [(1, "a", 0, 100), (2, "a", 0, 250), (3, "b", 0, 5)];
    let mut notices = place.append(&records, 1).await;
    notices.extend(place.append(&records[1..], 1).await);
    notices.extend(place.take_back(&groups(&records[..1])).await);
    assert_eq!(place.fold(&notices).await.settled, 3);
    let unfolded = place.append(&[(5, "a", 0, 7)], 1).await.pop().unwrap();
    (place, unfolded)
}

#[tokio::test(start_paused = true)]
async fn each_record_of_a_minute_says_whether_it_counts() {
    let (place, unfolded) = minute().await;
    let found = place.folder.records(minute_of(0), Pages::All, None).await.unwrap();
    assert!(found.gone.is_empty() && found.unfolded.is_empty(), "{found:?}");
    let mut standings: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for record in &found.records {
        standings.entry(record.id.short()).or_default().push(format!("{:?}", record.standing));
    }
    standings.values_mut().for_each(|texts| texts.sort());
    let expected = [
        (1, vec![r#"Void("operator", "counted by mistake")"#]),
        (2, vec!["Counted", "Repeated"]),
        (3, vec!["Counted", "Repeated"]),
        (5, vec!["Counted"]),
    ];
    let expected = expected.map(|(number, texts)| (id(number).short(), texts.into_iter().map(str::to_owned).collect()));
    assert_eq!(standings, BTreeMap::from(expected));
    let second = found.records.iter().find(|record| record.id.short() == id(2).short()).unwrap();
    assert_eq!((&second.key, &second.kind, second.generation), (&key("a"), &PageKind::Usage, 1));
    let texts: Vec<_> = second.texts().map(|(measure, text)| format!("{measure}={text}")).collect();
    assert_eq!(texts, ["orders=1", "amount=2.5"]);

    let found = place.folder.records(minute_of(0), Pages::FoldedOf(&key("b"), None), None).await.unwrap();
    assert_eq!(found.records.iter().map(|record| record.id.short()).collect::<Vec<_>>(), [id(3).short(); 2]);
    assert_eq!((found.gone.len(), found.unfolded), (0, vec![(unfolded.page, 1)]));
    let page = &found.records[0].page;
    let key_of_page = place.items("ledger").into_iter().find(|item| text(item, "sk") == format!("{:016x}", page.name));
    place.delete("ledger", &text(&key_of_page.unwrap(), "pk"), &format!("{:016x}", page.name));
    let found = place.folder.records(minute_of(0), Pages::FoldedOf(&key("b"), None), None).await.unwrap();
    assert_eq!((found.records.len(), found.gone), (1, vec![*page]));
}

#[tokio::test(start_paused = true)]
async fn pages_in_use_are_in_the_buckets_that_are_configured_or_that_the_state_knows() {
    let mut place = Place::new();
    place.folder.ledger.buckets = 16;
    let mut notices = Vec::new();
    for number in 0..40 {
        notices.extend(place.append(&[(number, "a", 0, 1)], 1).await);
    }
    // A fold of a page in the fifth bucket reads no bucket after it.
    place.folder.ledger.buckets = 1;
    let folded: Vec<Notice> = notices.iter().filter(|notice| notice.page.bucket == 4).take(1).cloned().collect();
    assert_eq!(place.fold(&folded).await.settled, 1);
    let below = |bucket: u32| notices.iter().filter(|notice| notice.page.bucket < bucket).count();
    for (buckets, used) in [(1, 5), (5, 5), (7, 7), (16, 16)] {
        place.folder.ledger.buckets = buckets;
        let found = place.folder.records(minute_of(0), Pages::InUse, None).await.unwrap();
        assert_eq!(found.records.len(), below(used), "{buckets} buckets");
        let all = place.folder.records(minute_of(0), Pages::All, None).await.unwrap();
        assert_eq!(all.records.len(), 40, "{buckets} buckets");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_in_buckets_that_are_no_longer_configured_are_read() {
    let (place, notices) = lowered().await;
    let names = place.folder.page_names(minute_of(0), None).await.unwrap();
    let expected: BTreeSet<PageRef> = notices.iter().map(|notice| notice.page).collect();
    assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
    for which in [Pages::All, Pages::InUse, Pages::FoldedOf(&key("a"), None)] {
        let found = place.folder.records(minute_of(0), which, None).await.unwrap();
        assert_eq!((found.records.len(), found.gone.len(), found.unfolded.len()), (80, 0, 0), "{which:?}");
    }
    let ids: BTreeSet<u64> = (0..80).map(|number| id(number).short()).collect();
    let content = place.folder.counted_rows(minute_of(0), &ids, None).await.unwrap();
    assert_eq!(content.groups[0].ids.len(), 80);
    let shown = place.folder.show(None, window("2026-11-28T08:57"), None).await.unwrap();
    assert_eq!(shown.pages.iter().filter(|page| page.is_folded).count(), 80);
}

#[tokio::test(start_paused = true)]
async fn the_rows_of_records_are_those_of_the_pages_that_count_them() {
    let (place, _) = minute().await;
    let ids: BTreeSet<u64> = [1, 2, 3].map(|number| id(number).short()).into();
    let content = place.folder.counted_rows(minute_of(0), &ids, None).await.unwrap();
    let rows: Vec<_> = content
        .groups
        .iter()
        .map(|group| {
            let values = group.columns.iter().map(|column| column.value(0).unwrap().to_string()).collect::<Vec<_>>();
            (group.key.counter_key().unwrap(), group.ids.len(), values.join(" "))
        })
        .collect();
    assert_eq!(rows, [(key("a"), 1, "1 2.5".to_owned()), (key("b"), 1, "1 0.05".to_owned())]);
    assert_eq!((content.generation, content.id_bytes), (1, 8));
}

#[tokio::test(start_paused = true)]
async fn a_minute_shows_its_pages_and_states_and_a_month_its_state() {
    let (place, unfolded) = minute().await;
    let show = async |text: &str| -> Shown {
        let snapshot = place.pipeline.snapshot.as_ref();
        place.folder.show(snapshot, window(text), None).await.unwrap()
    };
    let minute = show("2026-11-28T08:57").await;
    let mut of_pages: Vec<_> = minute
        .pages
        .iter()
        .map(|page| (page.records, page.groups, page.kind.join(" "), page.is_folded, page.name == unfolded.page.name))
        .collect();
    of_pages.sort();
    let void = "void operator counted by mistake".to_owned();
    let usage = "  ".to_owned();
    assert_eq!(
        of_pages,
        [
            (1, 1, usage.clone(), false, true),
            (1, 1, void, true, false),
            (2, 2, usage.clone(), true, false),
            (3, 2, usage, true, false)
        ]
    );
    for (text, lists) in [("2026-11-28T08:57", 3), (MONTH, 1)] {
        let shown = show(text).await;
        assert_eq!(shown.pages.is_empty(), text == MONTH);
        let [state] = &shown.states[..] else { panic!("{shown:?}") };
        assert_eq!((state.part.as_str(), state.version, state.lists), ("", 1, lists), "{text}");
        let stored = place.state(text).into_values();
        let stored = stored.filter_map(|value| value.as_b().ok().map(|data| data.as_ref().len()));
        assert!(stored.collect::<Vec<_>>().contains(&state.bytes), "{text}: {state:?}");
        let values: Vec<_> = state
            .groups
            .iter()
            .map(|group| {
                let one = |(name, value): &(String, Option<String>)| format!("{name}={}", value.as_ref().unwrap());
                let mut values: Vec<_> = group.values.iter().map(one).collect();
                values.sort();
                (group.key.clone(), values.join(" "))
            })
            .collect();
        assert_eq!(
            values,
            [(key("a"), "amount=2.5 orders=1".to_owned()), (key("b"), "amount=0.05 orders=1".to_owned())]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_comes_from_the_windows_below_and_says_which_are_gone_or_newer() {
    let place = Place::new();
    place.fold(&place.append(&[(1, "a", 0, 100), (2, "a", 1, 250), (3, "b", 2, 5)], 1).await).await;
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let below = async |entity: &str| {
        let below = place.folder.below(snapshot, window(HOUR), &key(entity), None).await.unwrap();
        let values = below.own.iter().map(|value| format!("{}={}", value.measure, value.value.as_ref().unwrap()));
        let mut values: Vec<_> = values.collect();
        values.sort();
        let texts = |windows: &[WindowKey]| windows.iter().map(|window| window.text()).collect::<Vec<_>>();
        let children: Vec<WindowKey> = below.children.iter().map(|(window, _)| *window).collect();
        (values.join(" "), texts(&children), texts(&below.gone), texts(&below.newer))
    };
    let minutes = |numbers: &[&str]| numbers.iter().map(|number| format!("{HOUR}:{number}")).collect::<Vec<_>>();
    let own = "amount=3.5 orders=2".to_owned();
    assert_eq!(below("a").await, (own.clone(), minutes(&["57", "58"]), vec![], vec![]));
    assert_eq!(below("b").await, ("amount=0.05 orders=1".to_owned(), minutes(&["59"]), vec![], vec![]));
    assert_eq!(below("nobody").await.0, "");
    let own_values = place.folder.values(snapshot, window(MONTH), &key("a"), None).await.unwrap();
    assert_eq!(own_values.len(), 2, "{own_values:?}");
    assert_eq!(place.folder.measures(window(MONTH), None).await.unwrap(), ["amount", "orders"]);
    assert!(place.folder.measures(window("2026-10"), None).await.unwrap().is_empty());

    // The hour's state of before is what a fold leaves that ends between the minute and the hour.
    let hour = place.state(HOUR);
    place.fold(&place.append(&[(4, "a", 1, 7)], 1).await).await;
    place.folder.ledger.client.put_item().table_name("ledger").set_item(Some(hour)).send().await.unwrap();
    assert_eq!(below("a").await, (own.clone(), minutes(&["57", "58"]), vec![], minutes(&["58"])));
    let first = place.state("2026-11-28T08:57");
    place.delete("ledger", &text(&first, "pk"), &text(&first, "sk"));
    assert_eq!(below("a").await, (own, minutes(&["58"]), minutes(&["57"]), minutes(&["58"])));
}
