-- Who was given up while waiting its turn held up everybody behind it.
update runtime set queued_at = null where phase = 'failed';
