package natsconn

// ConnectWith is Connect with further options, such as a shorter wait between attempts.
var ConnectWith = connect
