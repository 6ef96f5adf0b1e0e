//! Host names to addresses, as the system finds them. That blocks a thread for as long as name servers do not answer, and
//! a worker's threads are not without number: so who wants a name that is being looked up waits for the same answer,
//! unless that takes so long that a question may have been lost. A name that hangs takes a few threads, and all
//! others are found as ever.

use hashbrown::HashMap;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::Instant;

/// After so long a name is asked for once more: systems wait for seconds until they repeat a lost question.
const ASKED_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Most look-ups of one name at a time.
const MOST: usize = 4;

/// What came of a look-up: addresses in the system's order of preference, without a port.
type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;
/// What will come of it.
type Answer = watch::Receiver<Option<Found>>;

/// Look-ups of one name, the latest last, with their beginnings.
type LookUps = Vec<(Instant, Answer)>;

/// The look-ups that one worker has under way. Nothing is kept of an answer once it has been given.
#[derive(Default)]
pub(crate) struct Resolver(Rc<RefCell<HashMap<Arc<str>, LookUps>>>);

impl Resolver {
    /// Where `host` can be reached at `port`.
    ///
    /// # Errors
    /// Why the system knows no address of it.
    pub(crate) async fn addresses(&self, host: &Arc<str>, port: u16) -> Found {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let system = async |host: Arc<str>| Ok(lookup_host((&*host, 0)).await?.collect());
        let mut addresses = self.look_up(host, system).await?;
        addresses.iter_mut().for_each(|address| address.set_port(port));
        Ok(addresses)
    }

    async fn look_up<L>(&self, host: &Arc<str>, look_up: L) -> Found
    where
        L: AsyncFnOnce(Arc<str>) -> io::Result<Vec<SocketAddr>> + 'static,
    {
        let mut answer = self.under_way(host).unwrap_or_else(|| {
            let (sender, answer) = watch::channel(None);
            self.0.borrow_mut().entry(host.clone()).or_default().push((Instant::now(), answer.clone()));
            let (under_way, host, own) = (self.0.clone(), host.clone(), answer.clone());
            // Of its own, since whoever waits may give up while the thread goes on.
            tokio::task::spawn_local(async move {
                let found = look_up(host.clone()).await.map_err(Arc::new);
                let mut under_way = under_way.borrow_mut();
                if let Some(others) = under_way.get_mut(&host) {
                    others.retain(|(_, answer)| !answer.same_channel(&own));
                    if others.is_empty() {
                        under_way.remove(&host);
                    }
                }
                sender.send_replace(Some(found));
            });
            answer
        });
        let found = answer.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        found.unwrap_or_else(|| Err(Arc::new(io::Error::other("the look-up was given up"))))
    }

    /// A look-up that is worth waiting for.
    fn under_way(&self, host: &Arc<str>) -> Option<Answer> {
        let known = self.0.borrow();
        let known = known.get(host)?;
        let (since, latest) = known.last()?;
        (known.len() == MOST || since.elapsed() < ASKED_AGAIN_AFTER).then(|| latest.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::future::pending;
    use std::net::Ipv4Addr;
    use tokio::sync::Notify;
    use tokio::task::{LocalSet, spawn_local};
    use tokio::time::timeout;

    fn found() -> Vec<SocketAddr> {
        vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)]
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_hangs_is_asked_for_a_few_times_and_holds_up_no_other() {
        let asked = Rc::new(Cell::new(0));
        let test = async {
            let resolver = Rc::new(Resolver::default());
            let (hangs, answers): (Arc<str>, Arc<str>) = ("hangs.example".into(), "answers.example".into());
            for _ in 0..1_000 {
                let asked = asked.clone();
                let never = async move |_| {
                    asked.set(asked.get() + 1);
                    pending().await
                };
                // As a connection does whose time is up.
                assert!(timeout(Duration::from_millis(10), resolver.look_up(&hangs, never)).await.is_err());
            }
            let other = resolver.look_up(&answers, async |_| Ok(found())).await;
            assert_eq!(other.expect("it answers"), found());
        };
        LocalSet::new().run_until(test).await;
        assert_eq!(asked.get(), MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_question_is_asked_again() {
        let test = async {
            let (resolver, host): (_, Arc<str>) = (Resolver::default(), "a.example".into());
            let lost = resolver.look_up(&host, async |_| pending().await);
            assert!(timeout(ASKED_AGAIN_AFTER, lost).await.is_err());
            assert_eq!(resolver.look_up(&host, async |_| Ok(found())).await.expect("it answers"), found());
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn all_who_wait_have_the_answer_and_the_next_asks_anew() {
        let test = async {
            let (resolver, answer) = (Rc::new(Resolver::default()), Rc::new(Notify::new()));
            let host: Arc<str> = "a.example".into();
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let (resolver, answer, host) = (resolver.clone(), answer.clone(), host.clone());
                    spawn_local(async move {
                        let answered = async move |_| {
                            answer.notified().await;
                            Err(io::Error::other("no such name"))
                        };
                        resolver.look_up(&host, answered).await
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            answer.notify_one();
            for waits in waiting {
                let error = timeout(Duration::from_secs(20), waits)
                    .await
                    .expect("nobody is forgotten")
                    .expect("no panic")
                    .expect_err("there is no such name");
                assert_eq!(error.to_string(), "no such name");
            }
            assert_eq!(resolver.look_up(&host, async |_| Ok(found())).await.expect("it is there now"), found());
        };
        LocalSet::new().run_until(test).await;
    }
}
