//! A body on its way from one connection to another: decoded, perhaps converted to another character encoding, encoded
//! again. It stops taking while the sink has more than a buffer's worth unsent.

use crate::http1::{BodyError, Conn, Decoder, Encoder, Framing, HIGH_WATER};
use bytes::BytesMut;
use rivmesh_rivta::transcoder::{TranscodeError, Transcoder};
use std::io;
use std::task::{Context, Poll, ready};
use thiserror::Error;

/// What happens to the content on the way.
pub(crate) enum Recode {
    /// Forwarded byte for byte.
    Untouched,
    /// Converted between character encodings.
    Converted(Box<Transcoder>),
}

impl Recode {
    /// Whether content stays as it is.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self, Self::Untouched)
    }

    /// Appends `content` to `to` in its new form; `last` ends the text.
    fn append(&mut self, content: &[u8], last: bool, encoder: Encoder, to: &mut BytesMut) -> Result<(), PumpError> {
        match self {
            Self::Untouched => encoder.append(to, content),
            Self::Converted(transcoder) => {
                let mut converted = Vec::new();
                transcoder.push(content, last, &mut converted).map_err(PumpError::Encoding)?;
                encoder.append(to, &converted);
            }
        }
        Ok(())
    }
}

/// Which side a pump waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    OnSource,
    OnSink,
}

/// Why a pump stopped.
#[derive(Debug, Error)]
pub(crate) enum PumpError {
    #[error("reading failed: {0}")]
    Source(io::Error),
    #[error("writing failed: {0}")]
    Sink(io::Error),
    #[error(transparent)]
    Body(BodyError),
    #[error(transparent)]
    Encoding(TranscodeError),
    #[error("the body is larger than allowed")]
    TooLarge,
}

/// A body on its way.
pub(crate) struct Pump {
    decoder: Decoder,
    recode: Recode,
    encoder: Encoder,
    limit: u64,
    moved: u64,
    ended: bool,
    finished: bool,
    waiting: Waiting,
}

impl Pump {
    /// A body that starts now, forwarded untouched until it is said otherwise.
    pub(crate) fn new(framing: Framing, limit: u64) -> Self {
        Self::resume(Decoder::new(framing), Recode::Untouched, Encoder::Plain, 0, limit)
    }

    /// Continues a body of which `moved` bytes have already been taken out of the source by `decoder`.
    pub(crate) fn resume(decoder: Decoder, recode: Recode, encoder: Encoder, moved: u64, limit: u64) -> Self {
        Self { decoder, recode, encoder, limit, moved, ended: false, finished: false, waiting: Waiting::OnSource }
    }

    /// How the rest of the body is sent on.
    pub(crate) fn send_as(&mut self, encoder: Encoder) {
        self.encoder = encoder;
    }

    /// How the rest of the body is converted.
    pub(crate) fn convert(&mut self, recode: Recode) {
        self.recode = recode;
    }

    /// Lowers the limit on the body's size, in bytes.
    pub(crate) fn limit_to(&mut self, limit: u64) {
        self.limit = self.limit.min(limit);
    }

    /// Whether more than `limit` bytes have come or are announced.
    pub(crate) fn exceeds_limit(&self) -> bool {
        self.announces_more_than(self.limit)
    }

    /// Whether the rest is announced to bring the body over `limit` bytes.
    pub(crate) fn announces_more_than(&self, limit: u64) -> bool {
        self.moved.saturating_add(self.decoder.remaining().unwrap_or(0)) > limit
    }

    /// Puts content that was taken earlier into `output`, as the rest will be.
    pub(crate) fn push(&mut self, content: &[u8], output: &mut BytesMut) -> Result<(), PumpError> {
        self.recode.append(content, false, self.encoder, output)
    }

    /// Goes back to where nothing had been sent; only of use when the whole body had been taken before that.
    pub(crate) fn rewind(&mut self) {
        if self.ended {
            // The text has ended, which a decoder is told once, and all of it was converted before.
            self.recode = Recode::Untouched;
        }
        self.ended = false;
        self.finished = false;
    }

    /// Whether the whole body has left.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether the whole body was taken out of the source.
    pub(crate) fn is_taken(&self) -> bool {
        self.decoder.is_done()
    }

    /// Bytes of content taken out of the source.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Which side the last pending poll waits for.
    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Takes the next content into `to` instead of sending it on; ready with whether more may follow.
    pub(crate) fn poll_into(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Conn,
        to: &mut BytesMut,
    ) -> Poll<Result<bool, PumpError>> {
        loop {
            let piece = self.decoder.peek(&mut source.input, HIGH_WATER).map_err(PumpError::Body)?;
            let taken = piece.len();
            if taken > 0 || self.decoder.is_done() {
                self.moved += taken as u64;
                if self.moved > self.limit {
                    return Poll::Ready(Err(PumpError::TooLarge));
                }
                let piece = &source.input[..taken];
                self.recode.append(piece, false, Encoder::Plain, to)?;
                self.decoder.consume(&mut source.input, taken);
                // Settles a coding that has nothing left but its end.
                self.decoder.peek(&mut source.input, 1).map_err(PumpError::Body)?;
                return Poll::Ready(Ok(!self.decoder.is_done()));
            }
            match source.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(PumpError::Source(e))),
                Poll::Ready(Ok(0)) => self.decoder.end_of_input(source.ended_in_order()).map_err(PumpError::Body)?,
                Poll::Ready(Ok(_)) => {}
            }
        }
    }

    /// Moves what can be moved; ready when all has been written to `sink`.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Conn,
        sink: &mut Conn,
    ) -> Poll<Result<(), PumpError>> {
        ready!(self.poll_take(cx, source, sink))?;
        ready!(self.poll_sink(cx, sink))?;
        self.finished = true;
        Poll::Ready(Ok(()))
    }

    /// As [`Pump::poll`], but ready when all has been taken out of `source`; the last of it stands in the sink's buffer.
    pub(crate) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Conn,
        sink: &mut Conn,
    ) -> Poll<Result<(), PumpError>> {
        loop {
            self.take(source, sink)?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            let was_full = sink.output.len() >= HIGH_WATER;
            ready!(self.poll_sink(cx, sink))?;
            // What the sink had no room for comes before what the source may never send.
            if was_full {
                continue;
            }
            match source.poll_fill(cx) {
                Poll::Pending => {
                    self.waiting = Waiting::OnSource;
                    return Poll::Pending;
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(PumpError::Source(e))),
                Poll::Ready(Ok(0)) => self.decoder.end_of_input(source.ended_in_order()).map_err(PumpError::Body)?,
                Poll::Ready(Ok(_)) => {}
            }
        }
    }

    fn poll_sink(&mut self, cx: &mut Context<'_>, sink: &mut Conn) -> Poll<Result<(), PumpError>> {
        let drained = sink.poll_drain(cx).map_err(PumpError::Sink);
        if drained.is_pending() {
            self.waiting = Waiting::OnSink;
        }
        drained
    }

    /// Takes content out of the source's buffer until it is empty or the sink has enough to write.
    fn take(&mut self, source: &mut Conn, sink: &mut Conn) -> Result<(), PumpError> {
        while !self.ended && sink.output.len() < HIGH_WATER {
            let here = self.decoder.peek(&mut source.input, usize::MAX).map_err(PumpError::Body)?.len();
            if here > 0 {
                let as_it_is = self.recode.is_untouched() && self.encoder == Encoder::Plain;
                let is_whole = as_it_is && here == source.input.len() && sink.output.is_empty();
                let taken = if is_whole { here } else { here.min(HIGH_WATER) };
                self.moved += taken as u64;
                if self.moved > self.limit {
                    return Err(PumpError::TooLarge);
                }
                if is_whole {
                    self.decoder.take_whole(&mut source.input, &mut sink.output);
                } else {
                    self.recode.append(&source.input[..taken], false, self.encoder, &mut sink.output)?;
                    self.decoder.consume(&mut source.input, taken);
                }
            } else if self.decoder.is_done() {
                self.recode.append(&[], true, self.encoder, &mut sink.output)?;
                self.encoder.finish(&mut sink.output);
                self.ended = true;
            } else {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Transport;
    use std::future::poll_fn;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (Conn, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let far = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        (Conn::new(Transport::Plain(listener.accept().await.expect("somebody connects").0)), far)
    }

    /// What comes out at the other end of `framed` content that is all there already, from a source that then stays silent.
    async fn relayed(framed: &[u8], framing: Framing) -> Vec<u8> {
        let ((mut source, _silent), (mut sink, mut far)) = (pair().await, pair().await);
        source.input.extend_from_slice(framed);
        sink.output.extend_from_slice(b"head");
        let mut pump = Pump::new(framing, u64::MAX);
        // On a task of its own, so that nothing but the pump's own wakers make it go on.
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.map(|_| all)
        });
        let relay = poll_fn(|cx| pump.poll(cx, &mut source, &mut sink));
        let relayed = tokio::time::timeout(Duration::from_secs(20), relay).await;
        relayed.expect("nothing is waited for").expect("both are open");
        drop(sink);
        let all = reader.await.expect("no panic").expect("the sink is closed at the end");
        assert_eq!(pump.moved() as usize + 4, all.len());
        all
    }

    #[tokio::test]
    async fn content_that_is_there_is_not_held_back_by_a_source_that_sends_no_more() {
        for size in [1, HIGH_WATER - 4, HIGH_WATER, HIGH_WATER + 1, 3 * HIGH_WATER + 100] {
            let content: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let expected = [b"head", &*content].concat();
            let whole = relayed(&content, Framing::Length(size as u64)).await;
            assert!(whole == expected, "{size} bytes at once");
            let mut chunked = BytesMut::new();
            content.chunks(10_000).for_each(|chunk| Encoder::Chunked.append(&mut chunked, chunk));
            Encoder::Chunked.finish(&mut chunked);
            assert!(relayed(&chunked, Framing::Chunked).await == expected, "{size} bytes in chunks");
            let followed = [&*content, b"POST /"].concat();
            let first = relayed(&followed, Framing::Length(size as u64)).await;
            assert!(first == expected, "{size} bytes before another request");
        }
    }
}
