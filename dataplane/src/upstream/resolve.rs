//! Host names to addresses, as the system finds them. That blocks a thread for as long as name servers do not answer, and
//! threads are not without number: so each name is looked up once at a time, and whoever wants it meanwhile waits for
//! the same answer. A name that hangs takes one thread, and all others are found as ever.

use hashbrown::HashMap;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::lookup_host;
use tokio::sync::watch;

/// What came of a look-up: addresses in the system's order of preference, without a port.
type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;
/// What will come of it.
type Answer = watch::Receiver<Option<Found>>;

/// The names that one worker is looking up. Nothing is kept of an answer once it has been given.
#[derive(Default)]
pub(crate) struct Resolver(Rc<RefCell<HashMap<Arc<str>, Answer>>>);

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
        let known = self.0.borrow().get(host).cloned();
        let mut answer = known.unwrap_or_else(|| {
            let (sender, answer) = watch::channel(None);
            self.0.borrow_mut().insert(host.clone(), answer.clone());
            let (under_way, host) = (self.0.clone(), host.clone());
            // Of its own, since whoever waits may give up while the thread goes on.
            tokio::task::spawn_local(async move {
                let found = look_up(host.clone()).await.map_err(Arc::new);
                under_way.borrow_mut().remove(&host);
                sender.send_replace(Some(found));
            });
            answer
        });
        let found = answer.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        found.unwrap_or_else(|| Err(Arc::new(io::Error::other("the look-up was given up"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::future::pending;
    use std::net::Ipv4Addr;
    use std::time::Duration;
    use tokio::sync::Notify;
    use tokio::task::{LocalSet, spawn_local};
    use tokio::time::timeout;

    fn found() -> Vec<SocketAddr> {
        vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)]
    }

    #[tokio::test]
    async fn a_name_that_hangs_is_asked_for_once_and_holds_up_no_other() {
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
                assert!(timeout(Duration::ZERO, resolver.look_up(&hangs, never)).await.is_err());
            }
            tokio::task::yield_now().await;
            let other = resolver.look_up(&answers, async |_| Ok(found())).await;
            assert_eq!(other.expect("it answers"), found());
        };
        LocalSet::new().run_until(test).await;
        assert_eq!(asked.get(), 1);
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
                let error = waits.await.expect("no panic").expect_err("there is no such name");
                assert_eq!(error.to_string(), "no such name");
            }
            assert_eq!(resolver.look_up(&host, async |_| Ok(found())).await.expect("it is there now"), found());
        };
        LocalSet::new().run_until(test).await;
    }
}
