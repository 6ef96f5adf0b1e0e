//! RIV-TA on the wire: envelope peek, headers, HSA-ids, VP codes and faults.
