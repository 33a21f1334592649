"""What must survive a power cut: alerts, the outbox, the audit, who receives, and the sequence numbers."""

from har.store.database import Store
from har.store.rows import Ack, OpenAlert, OutboxRow, Receipt

__all__ = ["Ack", "OpenAlert", "OutboxRow", "Receipt", "Store"]
