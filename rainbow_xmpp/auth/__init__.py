"""What proves who somebody is: keys made from passwords, their sealing, policy and throttling."""
