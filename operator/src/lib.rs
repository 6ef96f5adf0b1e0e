//! Control plane: watch, compile, serve, status.
