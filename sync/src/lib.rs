//! How routing tables travel: wire protocol and sans-IO client and server.
